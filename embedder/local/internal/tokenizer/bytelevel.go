package tokenizer

import "unicode/utf8"

// byteRunes has for each byte the character that stands for it in byte-level
// vocabularies: itself where it can be seen, else one from U+0100 on.
var byteRunes = func() (runes [256]rune) {
	next := rune(256)
	for b := range runes {
		r := rune(b)
		if r <= ' ' || r >= 0x7f && r <= 0xa0 || r == 0xad {
			r = next
			next++
		}
		runes[b] = r
	}
	return runes
}()

// gpt2Words is how GPT-2 cut texts, and RoBERTa after it.
const gpt2Words = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// byteLevel cuts as GPT-2 did, if use_regex, and writes bytes as characters.
func (c splitterConfig) byteLevel() (cutter, error) {
	words := cutter(func(piece []byte, emit func([]byte)) { emit(piece) })
	if c.UseRegex == nil || *c.UseRegex {
		p, err := compile(gpt2Words)
		if err != nil {
			return nil, err
		}
		words = p.isolate
	}
	prefix := c.AddPrefixSpace == nil || *c.AddPrefixSpace
	return func(piece []byte, emit func([]byte)) {
		if prefix && piece[0] != ' ' {
			piece = append([]byte{' '}, piece...)
		}
		var seen []byte
		words(piece, func(word []byte) {
			seen = seen[:0]
			for _, b := range word {
				seen = utf8.AppendRune(seen, byteRunes[b])
			}
			emit(seen)
		})
	}, nil
}
