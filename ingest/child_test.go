package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// notText is content that no sniffer knows, so that the declared type counts.
var notText = []byte{0, 1, 2, 3, 0, 1, 2, 3}

func TestIsolationCostsTheDocumentNotTheWorker(t *testing.T) {
	tests := []struct {
		name      string
		mediaType string
		config    Config
		want      []string // parts of the error
	}{
		{"a hang is killed", typeHangs, Config{ParseTimeout: 200 * time.Millisecond}, []string{"hangs", "200ms", "ingest.parse_timeout"}},
		{"many allocations are stopped", typeGreedy, Config{ParseMemoryBytes: 64 << 20}, []string{"67108864", "ingest.parse_memory_bytes"}},
		{"one huge allocation is stopped", typeHuge, Config{ParseMemoryBytes: 64 << 20}, []string{"67108864", "ingest.parse_memory_bytes"}},
		{"an endless recursion is stopped", typeOverflow, Config{}, []string{"overflow", "crashed", "stack"}},
		{"a panic is recovered without a child", typePanics, Config{}, []string{"panics", "out of luck"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.mediaType == typeHuge && !kernelLimits {
				return // only the kernel can refuse it
			}
			_, err := NewParser(tt.config).Parse(t.Context(), Input{URI: "file:///bad", ContentType: tt.mediaType, Content: notText})
			if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected {
				t.Fatalf("outcome %v of %v, want rejected", outcome, err)
			}
			for _, want := range append(tt.want, "file:///bad") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestIsolatedParseReturnsWhatAnInnerOneDoes(t *testing.T) {
	content := []byte(samplePDF("Two words"))
	in := Input{URI: "file:///x/two.pdf", Content: content}
	want, err := NewParser(Config{NoIsolation: true}).Parse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewParser(Config{}).Parse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != want.Text || len(got.Blocks) != 1 || got.Blocks[0] != want.Blocks[0] || got.Title != want.Title {
		t.Errorf("isolated: %+v, inside: %+v", got, want)
	}
}

func TestIsolatedRefusalStaysARefusal(t *testing.T) {
	_, err := NewParser(Config{}).Parse(t.Context(), Input{URI: "file:///x.pdf", Content: []byte("%PDF-1.4\n" + strings.Repeat("nothing ", 10))})
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected {
		t.Errorf("outcome %v of %v, want rejected", outcome, err)
	}
}

func TestCancellationIsNotTheDocumentsFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := NewParser(Config{}).Parse(ctx, Input{ContentType: typeHangs, Content: notText})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context canceled", err)
	}
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Waiting {
		t.Errorf("outcome %v, want waiting", outcome)
	}
}

func TestIsolationNeedsServeParser(t *testing.T) {
	canServe.Store(false)
	defer canServe.Store(true)
	_, err := NewParser(Config{}).Parse(t.Context(), Input{ContentType: typeFine, Content: notText})
	if !errors.Is(err, errNotServing) {
		t.Errorf("error %v, want %v", err, errNotServing)
	}
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Retry {
		t.Errorf("outcome %v, want retry", outcome)
	}
}

func BenchmarkIsolatedParse(b *testing.B) {
	p := NewParser(Config{})
	for b.Loop() {
		if _, err := p.Parse(b.Context(), Input{ContentType: typeFine, Content: notText}); err != nil {
			b.Fatal(err)
		}
	}
}
