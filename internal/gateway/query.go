package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/tributary-kb/tributary"
)

func (h *handler) search(w http.ResponseWriter, r *http.Request) {
	req, err := read[tributary.SearchRequest](w, r, maxQuery)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	reply, err := h.system(r).Search(r.Context(), req)
	h.reply(w, r, reply, err)
}

// ask answers with the whole answer, or as events: "delta" with a piece of the
// text, "answer" with the whole at the end, "error" if it breaks off.
func (h *handler) ask(w http.ResponseWriter, r *http.Request) {
	req, err := read[tributary.AskRequest](w, r, maxQuery)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if !acceptsEvents(r) {
		answer, err := answerTo(r.Context(), h.system(r), req, func(string) error { return nil })
		h.reply(w, r, answer, err)
		return
	}
	events := &eventStream{w: w}
	answer, err := answerTo(r.Context(), h.system(r), req, func(delta string) error {
		return events.send("delta", tributary.AskEvent{Delta: delta})
	})
	switch {
	case err == nil:
		_ = events.send("answer", answer) // a client that is gone needs none
	case !events.started:
		h.fail(w, r, err)
	default:
		_ = events.send("error", brokenOff(err))
	}
}

func (h *handler) forget(w http.ResponseWriter, r *http.Request) {
	reply, err := h.system(r).Forget(r.Context(), tributary.ForgetRequest{Conversation: r.PathValue("id")})
	h.reply(w, r, reply, err)
}

// answerTo asks, passes on the pieces of the text, and returns the whole.
func answerTo(ctx context.Context, s Asker, req tributary.AskRequest, delta func(string) error) (tributary.Answer, error) {
	var whole *tributary.Answer
	err := s.Ask(ctx, req, func(e tributary.AskEvent) error {
		if e.Answer != nil {
			whole = e.Answer
		}
		if e.Delta == "" {
			return nil
		}
		return delta(e.Delta)
	})
	switch {
	case err != nil:
		return tributary.Answer{}, err
	case whole == nil:
		return tributary.Answer{}, tributary.Errorf(tributary.CodeUnavailable, "%w", errors.New("the answer broke off before its end"))
	}
	if whole.Citations == nil {
		whole.Citations = []tributary.Citation{}
	}
	return *whole, nil
}

func brokenOff(err error) problem {
	code := tributary.CodeOf(err)
	status, convErr := strconv.Atoi(string(code))
	if convErr != nil {
		status = http.StatusInternalServerError
	}
	return newProblem(status, string(code), err.Error())
}
