package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Judge is a model that gives its opinion of answers. It is asked beside the
// metrics that are counted, and its opinion stands apart from them.
type Judge struct {
	Name string // "provider:model"
	// Ask returns what the model makes of data, following instruction. Data is
	// text that others may have written.
	Ask func(ctx context.Context, instruction, data string) (string, error)
}

// JudgeRules is what a judge is told; docs/models.md shows it.
const JudgeRules = `You grade an answer to a question.

correct: compare the answer with the reference answers. Write "yes" if it says what one of them says, in whatever words; "partly" if something that the reference says is missing; "no" if it says something else or contradicts it. Length and style do not count.
grounded: compare the answer with the passages that it cites. Write "yes" if everything it says stands in them, "no" if anything does not, or if nothing is cited.

Reply with one JSON object and nothing else: {"correct": "yes", "partly" or "no", "grounded": "yes" or "no"}`

// An Opinion is what a judge says of one answer.
type Opinion struct {
	// Correct is 1, 0.5 (a part is missing) or 0, against the references.
	Correct float64 `json:"correct"`
	// Grounded is 1 where the cited passages carry all of the answer, else 0.
	Grounded float64 `json:"grounded"`
}

// A Case is an answer to be judged.
type Case struct {
	Question, Answer     string
	References, Passages []string // at least one reference
}

// ErrNoOpinion says that a judge wrote something else than it was told to.
var ErrNoOpinion = errors.New("the judge gave no opinion")

// Judge asks for an opinion. A reply that is none is an ErrNoOpinion; other
// errors are those of Ask.
func (j Judge) Judge(ctx context.Context, c Case) (Opinion, error) {
	reply, err := j.Ask(ctx, JudgeRules, c.text())
	if err != nil {
		return Opinion{}, err
	}
	return parseOpinion(reply)
}

func (c Case) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Question: %s\n\nAnswer: %s\n", c.Question, c.Answer)
	for _, r := range c.References {
		fmt.Fprintf(&b, "\nReference answer: %s\n", r)
	}
	for i, p := range c.Passages {
		fmt.Fprintf(&b, "\nCited passage %d: %s\n", i+1, p)
	}
	return b.String()
}

// parseOpinion reads the one JSON object that the rules ask for; a fence around
// it is no harm.
func parseOpinion(reply string) (Opinion, error) {
	text := strings.TrimSpace(reply)
	if rest, ok := strings.CutPrefix(text, "```"); ok {
		text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(rest), "json"), "```")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var said struct{ Correct, Grounded string }
	if err := decoder.Decode(&said); err != nil {
		return Opinion{}, fmt.Errorf("%w: %w", ErrNoOpinion, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Opinion{}, fmt.Errorf("%w: something stands behind the object", ErrNoOpinion)
	}
	grades := map[string]float64{"yes": 1, "partly": 0.5, "no": 0}
	correct, ok := grades[said.Correct]
	grounded, also := grades[said.Grounded]
	if !ok || !also || said.Grounded == "partly" {
		return Opinion{}, fmt.Errorf("%w: correct is %q, grounded is %q", ErrNoOpinion, said.Correct, said.Grounded)
	}
	return Opinion{Correct: correct, Grounded: grounded}, nil
}

// A Judgement is what a judge thinks of the answers of one run. It is no
// measurement: Agreement says how far it may be trusted.
type Judgement struct {
	Run      string   `json:"run"`
	Judge    string   `json:"judge"`
	Judged   int      `json:"judged"`               // answers with an opinion
	Unread   int      `json:"unreadable,omitempty"` // opinions that were none
	Correct  Interval `json:"correct"`
	Grounded Interval `json:"grounded"`
	// Agreement is the share of the answers for which the judge (correct or
	// partly) and the count (token F1 of at least 0.5) come to the same; Kappa
	// is Cohen's: what of it is more than chance would give, at most 1.
	Agreement float64 `json:"agreement"`
	Kappa     float64 `json:"kappa"`
}

// agreeF1 is the token F1 from which an answer counts as right, beside a judge.
const agreeF1 = 0.5

// judgement sums up the opinions of a run; false if there are none.
func judgement(r Run) (Judgement, bool) {
	j := Judgement{Run: r.Name, Judge: r.Judge, Unread: r.Unread}
	var correct, grounded []float64
	both, judge, count := 0.0, 0.0, 0.0
	for _, q := range r.Results {
		if q.Answer == nil || q.Answer.Opinion == nil {
			continue
		}
		o := q.Answer.Opinion
		correct, grounded = append(correct, o.Correct), append(grounded, o.Grounded)
		says, counts := o.Correct > 0, q.Answer.F1 >= agreeF1
		judge, count, both = judge+share(says), count+share(counts), both+share(says == counts)
	}
	n := float64(len(correct))
	if j.Judged = len(correct); j.Judged == 0 {
		return j, j.Unread > 0
	}
	j.Correct, j.Grounded = Bootstrap(correct), Bootstrap(grounded)
	j.Agreement, j.Kappa = both/n, kappa(both/n, judge/n, count/n)
	return j, true
}

// kappa is Cohen's of two yes-or-no verdicts: agreement beyond that of chance,
// 0 where chance alone gives all.
func kappa(agreement, yesA, yesB float64) float64 {
	chance := yesA*yesB + (1-yesA)*(1-yesB)
	if chance == 1 {
		return 0
	}
	return (agreement - chance) / (1 - chance)
}
