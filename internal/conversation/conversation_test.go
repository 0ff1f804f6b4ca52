package conversation_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/conversation"
	"github.com/tributary-kb/tributary/internal/testenv"
)

const id = "c-12345678"

func open(t *testing.T, turns int) (*conversation.Store, jetstream.JetStream) {
	t.Helper()
	js, err := jetstream.New(testenv.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := conversation.Open(t.Context(), js, conversation.Config{TTL: time.Hour, MaxTurns: turns, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s, js
}

func add(t *testing.T, s *conversation.Store, kb, id, question string) {
	t.Helper()
	if err := s.Append(t.Context(), kb, id, tributary.Turn{Question: question}); err != nil {
		t.Fatal(err)
	}
}

func questions(t *testing.T, s *conversation.Store, kb, id string) string {
	t.Helper()
	turns, err := s.Turns(t.Context(), kb, id)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, turn := range turns {
		all = append(all, turn.Question)
	}
	return strings.Join(all, " ")
}

func TestTheLastTurnsAreKept(t *testing.T) {
	s, _ := open(t, 3)
	if got := questions(t, s, "kb", id); got != "" {
		t.Errorf("at first %q", got)
	}
	for i := range 5 {
		add(t, s, "kb", id, fmt.Sprint(i))
	}
	if got := questions(t, s, "kb", id); got != "2 3 4" {
		t.Errorf("got %q, want the last three", got)
	}
}

func TestConversationsDoNotMix(t *testing.T) {
	s, _ := open(t, 3)
	add(t, s, "kb", id, "a")
	add(t, s, "other", id, "b")
	add(t, s, "kb", id+"x", "c")
	if got := questions(t, s, "kb", id); got != "a" {
		t.Errorf("got %q, want a", got)
	}
}

func TestLongTurnsPushOutOlderOnes(t *testing.T) {
	s, _ := open(t, 10)
	add(t, s, "kb", id, "old")
	long := strings.Repeat("x", 40<<10)
	add(t, s, "kb", id, long)
	add(t, s, "kb", id, long+"y")
	if got := questions(t, s, "kb", id); got != long+"y" {
		t.Errorf("kept %d bytes, want the newest turn", len(got))
	}
}

func TestTurnsThatComeTogetherAreAllKept(t *testing.T) {
	s, _ := open(t, 10)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if err := s.Append(t.Context(), "kb", id, tributary.Turn{Question: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := questions(t, s, "kb", id); len(strings.Fields(got)) != 4 {
		t.Errorf("kept %q, want four turns", got)
	}
}

func TestAForgottenConversationIsGone(t *testing.T) {
	s, _ := open(t, 3)
	add(t, s, "kb", id, "a")
	for range 2 {
		if err := s.Forget(t.Context(), "kb", id); err != nil {
			t.Fatal(err)
		}
	}
	if got := questions(t, s, "kb", id); got != "" {
		t.Errorf("still there: %q", got)
	}
	add(t, s, "kb", id, "b")
	if got := questions(t, s, "kb", id); got != "b" {
		t.Errorf("got %q after it was forgotten, want b", got)
	}
}

func TestTheTimeToLiveIsThatOfTheSetting(t *testing.T) {
	_, js := open(t, 3)
	for _, want := range []time.Duration{time.Hour, 2 * time.Hour} {
		if _, err := conversation.Open(t.Context(), js, conversation.Config{TTL: want, MaxTurns: 3}); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), "KV_"+conversation.Bucket)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.MaxAge; got != want {
			t.Errorf("conversations live %s, want %s", got, want)
		}
	}
}
