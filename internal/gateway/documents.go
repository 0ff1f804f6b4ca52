package gateway

import (
	"net/http"
	"strconv"

	"github.com/tributary-kb/tributary"
)

// documents is the reply of the list.
type documents struct {
	Documents []tributary.Item `json:"documents"`
}

// content stands for a body that is the document itself.
type content struct{}

// wait makes a publication answer once it is settled.
var wait = parameter{"wait", "true: answer once it can be searched, with what became of it", false}

func (h *handler) system(r *http.Request) System { return h.cfg.For(r.PathValue("kb")) }

func (h *handler) add(w http.ResponseWriter, r *http.Request) {
	// Base64 takes four bytes for three; the rest is room for the attributes.
	add, err := read[tributary.AddRequest](w, r, h.cfg.MaxBytes/3*4+maxQuery)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	receipt, err := h.system(r).Add(r.Context(), add)
	h.accepted(w, r, receipt, err)
}

func (h *handler) put(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	body, err := readAll(w, r, h.cfg.MaxBytes)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	receipt, err := h.system(r).Add(r.Context(), tributary.AddRequest{
		URI: q.Get("uri"), Content: body, Attributes: tributary.Attributes{
			Title: q.Get("title"), Source: q.Get("source"), Language: q.Get("language"), ContentType: declared(r),
		},
	})
	h.accepted(w, r, receipt, err)
}

// declared is the content type of a body, "" for what clients send when they
// do not know it.
func declared(r *http.Request) string {
	switch kind := r.Header.Get("Content-Type"); kind {
	case "application/octet-stream", "application/x-www-form-urlencoded":
		return ""
	default:
		return kind
	}
}

func (h *handler) remove(w http.ResponseWriter, r *http.Request) {
	receipt, err := h.system(r).Remove(r.Context(), tributary.RemoveRequest{URI: r.URL.Query().Get("uri")})
	h.accepted(w, r, receipt, err)
}

// accepted answers with a receipt, or with what became of the version if the
// client waits for it. A refused document is the client's error.
func (h *handler) accepted(w http.ResponseWriter, r *http.Request, receipt tributary.Receipt, err error) {
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if waits, _ := strconv.ParseBool(r.URL.Query().Get("wait")); !waits {
		writeJSON(w, http.StatusAccepted, receipt)
		return
	}
	var settled tributary.Settled
	err = h.system(r).Wait(r.Context(), []tributary.At{{Document: receipt.Document, Version: receipt.Version}}, func(s tributary.Settled) error {
		settled = s
		return nil
	})
	switch {
	case err != nil:
		h.fail(w, r, err)
	case settled.State == tributary.StateRejected:
		writeError(w, r, http.StatusUnprocessableEntity, "422", settled.Stage+" refused it: "+settled.Reason)
	default:
		writeJSON(w, http.StatusOK, settled)
	}
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	deleted, _ := strconv.ParseBool(q.Get("deleted"))
	found := documents{Documents: []tributary.Item{}}
	err := h.system(r).List(r.Context(), tributary.ListRequest{URIPrefix: q.Get("uri_prefix"), Deleted: deleted}, func(i tributary.Item) error {
		found.Documents = append(found.Documents, i)
		return nil
	})
	h.reply(w, r, found, err)
}

func (h *handler) show(w http.ResponseWriter, r *http.Request) {
	reply, err := h.system(r).Show(r.Context(), tributary.ShowRequest{URI: r.URL.Query().Get("uri")})
	h.reply(w, r, reply, err)
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	reply, err := h.cfg.For(h.cfg.KB).Status(r.Context())
	h.reply(w, r, reply, err)
}

func (h *handler) reply(w http.ResponseWriter, r *http.Request, body any, err error) {
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, body)
}
