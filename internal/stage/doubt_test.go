package stage_test

import (
	"context"
	"maps"
	"testing"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// A server that was killed may have forgotten that it delivered the message
// before, so the message counts as handled in part.
func TestOnlyWhatStoodInTheStreamBeforeTheWorkerCameMayHaveBeenHandled(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "before"), nil)
	got := map[string]bool{}
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(func(_ context.Context, i in, _ func(out) error) error {
		got[i.URI] = i.Redelivered
		return nil
	}))
	b.signal("+ACK")
	b.send(head(tributary.LaneLive, "after"), nil)
	b.signal("+ACK")
	if want := map[string]bool{"before": true, "after": false}; !maps.Equal(got, want) {
		t.Errorf("redelivered: %v, want %v", got, want)
	}
}
