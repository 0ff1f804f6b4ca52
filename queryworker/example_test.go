package queryworker_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/queryworker"
)

// shelf is an index of one document, and the registry that knows it.
type shelf struct{ texts []string }

func (s shelf) object(i int) tributary.Object {
	return tributary.Object{ID: fmt.Sprint(i), Document: "d1", URI: "leave.md", Text: s.texts[i]}
}

func (s shelf) Candidates(_ context.Context, _ string, q tributary.IndexQuery) ([]tributary.Candidate, error) {
	var found []tributary.Candidate
	for i, text := range s.texts {
		if strings.Contains(text, q.Text) {
			found = append(found, tributary.Candidate{Object: s.object(i), Score: 1})
		}
	}
	return found[:min(q.Limit, len(found))], nil
}

func (s shelf) Objects(context.Context, string, []string) ([]tributary.Object, error) {
	return nil, nil
}

func (s shelf) Record(context.Context, string, string) (tributary.Record, error) {
	m := &tributary.Manifest{Version: 1, State: tributary.StateLive}
	for i := range s.texts {
		m.Chunks = append(m.Chunks, tributary.ChunkRef{ID: fmt.Sprint(i)})
	}
	return tributary.Record{Document: "d1", Manifest: m, Revision: 1}, nil
}

func (s shelf) Await(ctx context.Context, kb string, at tributary.At) (tributary.Record, error) {
	return s.Record(ctx, kb, at.Document)
}

func Example() {
	index := shelf{texts: []string{
		"Employees get 16 weeks of parental leave. The canteen is open.",
		"Parking is free.",
	}}
	worker := &queryworker.Worker{Searcher: index, Records: index}
	err := worker.Ask(context.Background(), "handbook", tributary.AskRequest{Question: "parental leave"},
		func(e tributary.AskEvent) error {
			if e.Answer != nil {
				fmt.Println(e.Answer.Answer)
				fmt.Println(e.Answer.Citations[0].N, e.Answer.Citations[0].URI, "by", e.Answer.Generator)
			}
			return nil
		})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// Employees get 16 weeks of parental leave. [1]
	// 1 leave.md by extractive
}
