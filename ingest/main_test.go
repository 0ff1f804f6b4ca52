package ingest

import (
	"context"
	"fmt"
	"testing"
)

// The formats below misbehave on purpose. They stand in the registry of both
// processes, since the child is this test binary again.
const (
	typeHangs    = "application/x-test-hangs"
	typeGreedy   = "application/x-test-greedy"
	typeHuge     = "application/x-test-huge"
	typePanics   = "application/x-test-panics"
	typeOverflow = "application/x-test-overflow"
	typeFine     = "application/x-test-fine"
)

var sink [][]byte

// overflow calls itself until the stack is full.
func overflow(depth int) int {
	if depth < 0 {
		return 0
	}
	return 1 + overflow(depth+1)
}

func misbehave(name, mediaType string, isolateFrom int64, parse func() Parsed) Format {
	return Format{Name: name, Types: []string{mediaType}, IsolateFrom: isolateFrom,
		Parse: func(context.Context, *Config, Input) (Parsed, error) { return parse(), nil }}
}

func TestMain(m *testing.M) {
	formats = append(formats,
		misbehave("hangs", typeHangs, 0, func() Parsed { select {} }),
		misbehave("greedy", typeGreedy, 0, func() Parsed {
			for {
				b := make([]byte, 1<<20)
				for i := range b {
					b[i] = 1
				}
				sink = append(sink, b)
			}
		}),
		misbehave("huge", typeHuge, 0, func() Parsed {
			n := 128 << 30
			sink = append(sink, make([]byte, n))
			return Parsed{}
		}),
		misbehave("overflow", typeOverflow, 0, func() Parsed { return Parsed{Text: fmt.Sprint(overflow(0))} }),
		misbehave("panics", typePanics, -1, func() Parsed { panic("out of luck") }),
		misbehave("fine", typeFine, 0, func() Parsed { return Parsed{Text: "fine\n"} }),
	)
	ServeParser()
	m.Run()
}
