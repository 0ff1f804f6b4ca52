package tributary_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/tributary-kb/tributary"
)

func TestCodeOf(t *testing.T) {
	notYet := tributary.Errorf(tributary.CodeNotYet, "version %d", 3)
	tests := []struct {
		name string
		err  error
		want tributary.Code
	}{
		{"plain error", io.EOF, tributary.CodeInternal},
		{"coded", notYet, tributary.CodeNotYet},
		{"coded, wrapped", fmt.Errorf("search: %w", notYet), tributary.CodeNotYet},
		{"the outermost decides", tributary.Errorf(tributary.CodeDeadline, "wait: %w", notYet), tributary.CodeDeadline},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tributary.CodeOf(tt.err); got != tt.want {
				t.Errorf("code %s, want %s", got, tt.want)
			}
		})
	}
}

func TestErrorfWraps(t *testing.T) {
	err := tributary.Errorf(tributary.CodeInvalid, "read body: %w", io.ErrUnexpectedEOF)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v lost its cause", err)
	}
	if want := "read body: unexpected EOF"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}
