package tokenizer

import (
	"encoding/json"
	"fmt"
)

// An Input is what a model reads: the IDs of tokens, and for each the number
// of the text that it belongs to, as the model was trained.
type Input struct {
	IDs   []int32
	Types []int32
}

// A template says what stands around one text or two.
type template []part

// A part is one of the texts, or tokens.
type part struct {
	text int // 0 or 1, -1 for tokens
	ids  []int32
	kind int32
}

// plain is the template of a file that has none.
func plain(texts int) template {
	t := template{{text: 0}, {text: 1, kind: 1}}
	return t[:texts]
}

// Single returns the input for one text, whose tokens Append found.
func (t *Tokenizer) Single(text []int32) Input { return t.single.fill(text, nil) }

// Pair returns the input for two texts.
func (t *Tokenizer) Pair(first, second []int32) Input { return t.pair.fill(first, second) }

// Extra is how many tokens Single adds, and Pair.
func (t *Tokenizer) Extra() (single, pair int) {
	return len(t.single.fill(nil, nil).IDs), len(t.pair.fill(nil, nil).IDs)
}

func (t template) fill(texts ...[]int32) Input {
	var in Input
	for _, p := range t {
		ids := p.ids
		if p.text >= 0 {
			ids = texts[p.text]
		}
		in.IDs = append(in.IDs, ids...)
		for range ids {
			in.Types = append(in.Types, p.kind)
		}
	}
	return in
}

// postConfig has the fields of all kinds.
type postConfig struct {
	Single  []piece          `json:"single"`
	Pair    []piece          `json:"pair"`
	Special map[string]token `json:"special_tokens"`
	Cls     named            `json:"cls"`
	Sep     named            `json:"sep"`
	// Of a sequence.
	Processors []json.RawMessage `json:"processors"`
}

type piece struct {
	SpecialToken *reference `json:"SpecialToken"`
	Sequence     *reference `json:"Sequence"`
}

type reference struct {
	ID     string `json:"id"`
	TypeID int32  `json:"type_id"`
}

type token struct {
	IDs []int32 `json:"ids"`
}

// named is a token as a pair: ["[CLS]", 101].
type named [2]any

func (n named) ids() []int32 {
	id, _ := n[1].(float64)
	return []int32{int32(id)}
}

func newTemplates(raw json.RawMessage) (single, pair template, err error) {
	if absent(raw) {
		return plain(1), plain(2), nil
	}
	var c postConfig
	kind, err := decode("post_processor", raw, &c)
	if err != nil {
		return nil, nil, err
	}
	cls, sep := part{text: -1, ids: c.Cls.ids()}, part{text: -1, ids: c.Sep.ids()}
	switch kind {
	case "TemplateProcessing":
		if single, err = c.template(c.Single); err == nil {
			pair, err = c.template(c.Pair)
		}
		return single, pair, err
	case "ByteLevel": // it is about offsets
		return plain(1), plain(2), nil
	case "Sequence":
		return c.sequence()
	case "BertProcessing":
		second := sep
		second.kind = 1
		return template{cls, {}, sep}, template{cls, {}, sep, {text: 1, kind: 1}, second}, nil
	case "RobertaProcessing":
		return template{cls, {}, sep}, template{cls, {}, sep, sep, {text: 1}, sep}, nil
	}
	return nil, nil, fmt.Errorf("post_processor %q is not supported", kind)
}

// sequence knows those of which one at most adds tokens.
func (c postConfig) sequence() (single, pair template, err error) {
	single, pair = plain(1), plain(2)
	found := false
	for _, raw := range c.Processors {
		var t typed
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, nil, fmt.Errorf("post_processor: %w", err)
		}
		if t.Type == "ByteLevel" {
			continue
		}
		if found {
			return nil, nil, fmt.Errorf("post_processor: a second that adds tokens (%s) is not supported", t.Type)
		}
		found = true
		if single, pair, err = newTemplates(raw); err != nil {
			return nil, nil, err
		}
	}
	return single, pair, nil
}

func (c postConfig) template(pieces []piece) (template, error) {
	var t template
	for _, p := range pieces {
		switch {
		case p.SpecialToken != nil:
			special, ok := c.Special[p.SpecialToken.ID]
			if !ok {
				return nil, fmt.Errorf("post_processor: there is no special token %q", p.SpecialToken.ID)
			}
			t = append(t, part{text: -1, ids: special.IDs, kind: p.SpecialToken.TypeID})
		case p.Sequence != nil && p.Sequence.ID == "A":
			t = append(t, part{text: 0, kind: p.Sequence.TypeID})
		case p.Sequence != nil && p.Sequence.ID == "B":
			t = append(t, part{text: 1, kind: p.Sequence.TypeID})
		default:
			return nil, fmt.Errorf("post_processor: a part is neither a special token nor the sequence A or B")
		}
	}
	return t, nil
}
