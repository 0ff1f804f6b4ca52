package gateway

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tributary-kb/tributary"
)

// A Follower keeps documents in step with where they come from.
type Follower interface {
	AddSource(context.Context, tributary.SourceAddRequest) (tributary.SourceStatus, error)
	ShowSource(context.Context, tributary.SourceRequest) (tributary.SourceStatus, error)
	ListSources(ctx context.Context, source func(tributary.SourceStatus) error) error
	RemoveSource(context.Context, tributary.SourceRemoveRequest) (tributary.SourceStatus, error)
	// SyncSource returns when the look that it asks for is done.
	SyncSource(context.Context, tributary.SourceSyncRequest) (tributary.SourceStatus, error)
	sourceSwitch
}

// A sourceSwitch changes how a source is followed.
type sourceSwitch interface {
	PauseSource(context.Context, tributary.SourceRequest) (tributary.SourceStatus, error)
	ResumeSource(context.Context, tributary.SourceRequest) (tributary.SourceStatus, error)
	ConfirmSource(context.Context, tributary.SourceRequest) (tributary.SourceStatus, error)
}

// sources is the reply of their list.
type sources struct {
	Sources []tributary.SourceStatus `json:"sources"`
}

func (h *handler) sourceRoutes() []route {
	const one = "/v1/kbs/{kb}/sources/{name}"
	status := tributary.SourceStatus{}
	return []route{
		{method: "POST", path: "/v1/kbs/{kb}/sources", summary: "Follow a source, or change one of that name",
			in: tributary.SourceAddRequest{}, out: status, status: http.StatusOK, handle: h.addSource},
		{method: "GET", path: "/v1/kbs/{kb}/sources", summary: "List sources, and how current they are",
			out: sources{}, status: http.StatusOK, handle: h.listSources},
		{method: "GET", path: one, summary: "One source, and how it is doing",
			out: status, status: http.StatusOK, handle: h.source(Follower.ShowSource)},
		{method: "DELETE", path: one, summary: "End the following of a source",
			query: []parameter{{"purge", "true: its documents go too", false}}, out: status, status: http.StatusOK, handle: h.removeSource},
		{method: "POST", path: one + "/pause", summary: "Stop looking at a source",
			out: status, status: http.StatusOK, handle: h.source(Follower.PauseSource)},
		{method: "POST", path: one + "/resume", summary: "Look at a paused source again",
			out: status, status: http.StatusOK, handle: h.source(Follower.ResumeSource)},
		{method: "POST", path: one + "/confirm", summary: "Let the deletions go on that a source holds",
			out: status, status: http.StatusOK, handle: h.source(Follower.ConfirmSource)},
		{method: "POST", path: one + "/sync", summary: "Look at a source now; answers when that is done",
			query: []parameter{{"full", "true: load every document again", false}}, out: status, status: http.StatusOK, handle: h.syncSource},
	}
}

func (h *handler) addSource(w http.ResponseWriter, r *http.Request) {
	req, err := read[tributary.SourceAddRequest](w, r, maxQuery)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	status, err := h.system(r).AddSource(r.Context(), req)
	h.reply(w, r, status, err)
}

func (h *handler) listSources(w http.ResponseWriter, r *http.Request) {
	found := sources{Sources: []tributary.SourceStatus{}}
	err := h.system(r).ListSources(r.Context(), func(s tributary.SourceStatus) error {
		found.Sources = append(found.Sources, s)
		return nil
	})
	h.reply(w, r, found, err)
}

func (h *handler) removeSource(w http.ResponseWriter, r *http.Request) {
	purge, _ := strconv.ParseBool(r.URL.Query().Get("purge"))
	status, err := h.system(r).RemoveSource(r.Context(), tributary.SourceRemoveRequest{Name: r.PathValue("name"), Purge: purge})
	h.reply(w, r, status, err)
}

func (h *handler) syncSource(w http.ResponseWriter, r *http.Request) {
	full, _ := strconv.ParseBool(r.URL.Query().Get("full"))
	status, err := h.system(r).SyncSource(r.Context(), tributary.SourceSyncRequest{Name: r.PathValue("name"), Full: full})
	h.reply(w, r, status, err)
}

// source answers with what do makes of the source that the path names.
func (h *handler) source(do func(Follower, context.Context, tributary.SourceRequest) (tributary.SourceStatus, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, err := do(h.system(r), r.Context(), tributary.SourceRequest{Name: r.PathValue("name")})
		h.reply(w, r, status, err)
	}
}
