package tributary_test

import (
	"testing"

	"github.com/tributary-kb/tributary"
)

func TestRecord(t *testing.T) {
	chunks := []tributary.ChunkRef{{ID: "a"}, {ID: "b"}}
	live := func(version uint64) *tributary.Manifest {
		return &tributary.Manifest{Version: version, State: tributary.StateLive, Chunks: chunks}
	}
	tombstone := func(version uint64) *tributary.Manifest {
		return &tributary.Manifest{Version: version, State: tributary.StateDeleted}
	}
	failed := func(version uint64) *tributary.Failure {
		return &tributary.Failure{Version: version, Stage: "ingest", Reason: "empty"}
	}
	tests := []struct {
		name     string
		manifest *tributary.Manifest
		failure  *tributary.Failure
		state    tributary.State
		settled  uint64
		refused  bool
		chunks   int
	}{
		{"nothing known", nil, nil, tributary.StatePending, 0, false, 0},
		{"committed", live(3), nil, tributary.StateLive, 3, false, 2},
		{"deleted", tombstone(4), nil, tributary.StateDeleted, 4, false, 0},
		{"refused at first", nil, failed(1), tributary.StateRejected, 1, true, 0},
		{"edit refused, the old version is still searched", live(3), failed(5), tributary.StateRejected, 5, true, 2},
		{"refused, then mended", live(6), failed(5), tributary.StateLive, 6, false, 2},
		{"refused after a delete", tombstone(4), failed(5), tributary.StateRejected, 5, true, 0},
		{"deleted after a refusal", tombstone(6), failed(5), tributary.StateDeleted, 6, false, 0},
		{"the same version committed by one worker, refused by another", live(5), failed(5), tributary.StateLive, 5, false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tributary.Record{Manifest: tt.manifest, Failure: tt.failure}
			if got := r.State(); got != tt.state {
				t.Errorf("state %q, want %q", got, tt.state)
			}
			if got := r.Settled(); got != tt.settled {
				t.Errorf("settled up to version %d, want %d", got, tt.settled)
			}
			if got := r.Refused() != nil; got != tt.refused {
				t.Errorf("newest version refused: %t, want %t", got, tt.refused)
			}
			if got := len(r.Chunks()); got != tt.chunks {
				t.Errorf("%d live chunks, want %d", got, tt.chunks)
			}
		})
	}
}

func TestRecordFind(t *testing.T) {
	chunks := []tributary.ChunkRef{{ID: "a"}, {ID: "b"}}
	live := tributary.Record{Manifest: &tributary.Manifest{State: tributary.StateLive, Chunks: chunks}}
	deleted := tributary.Record{Manifest: &tributary.Manifest{State: tributary.StateDeleted, Chunks: chunks}}
	tests := []struct {
		name   string
		record tributary.Record
		id     string
		want   int
	}{
		{"first", live, "a", 0},
		{"second", live, "b", 1},
		{"unknown id", live, "c", -1},
		{"no id", live, "", -1},
		{"nothing of a tombstone is live", deleted, "a", -1},
		{"no manifest", tributary.Record{}, "a", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.record.Find(tt.id); got != tt.want {
				t.Errorf("found at %d, want %d", got, tt.want)
			}
		})
	}
}
