package website

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A fault is a way to answer wrongly.
type fault struct {
	name  string
	serve func(w *reply, r *http.Request, page *Page)
}

// kinds of faults. Where nothing tells the client that what it gets is wrong
// (a length that is too short, a charset that could be), the reply has no
// validators: nobody can notice a lie that is confirmed ever after.
var kinds = []fault{
	{"fault: 500", status(http.StatusInternalServerError, "")},
	{"fault: 502", status(http.StatusBadGateway, "")},
	{"fault: 503 for a second", status(http.StatusServiceUnavailable, "1")},
	{"fault: 429 for a second", status(http.StatusTooManyRequests, "1")},
	{"fault: slow", slow},
	{"fault: stalled", stalled},
	{"fault: cut off", cutOff},
	{"fault: redirect loop", loop},
	{"fault: length too long", length(1.5)},
	{"fault: length too short", length(0.5)},
	{"fault: charset impossible", charset("utf-16")},
	{"fault: charset unknown", charset("x-none")},
	{"fault: charset wrong", charset("windows-1252")},
}

// loops marks a URL that only leads to the next of its kind.
const loops = "again"

// faults decides which requests fail.
type faults struct {
	seed  uint64
	share float64

	mu    sync.Mutex
	tries map[string]int // by path and version
	over  bool
}

func (f *faults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
}

// next returns the fault of a request, nil if it has none.
func (f *faults) next(r *http.Request, page *Page) *fault {
	if r.URL.Query().Has(loops) {
		return &fault{"fault: redirect loop", loop}
	}
	key := page.key()
	f.mu.Lock()
	try := f.tries[key]
	f.tries[key]++
	over := f.over
	f.mu.Unlock()
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(key)) // never fails
	random := rand.New(rand.NewPCG(f.seed, sum.Sum64()))
	fails := random.Float64() < f.share
	kind, times := random.IntN(len(kinds)), 1+random.IntN(2)
	if over || !fails || try >= times {
		return nil
	}
	return &kinds[kind]
}

func status(code int, retryAfter string) func(*reply, *http.Request, *Page) {
	return func(w *reply, _ *http.Request, _ *Page) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		http.Error(w, http.StatusText(code), code)
	}
}

// slow sends everything, in pieces.
func slow(w *reply, r *http.Request, page *Page) {
	const pieces, pause = 10, 20 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	w.Header().Set("ETag", page.ETag)
	size := len(page.Content)/pieces + 1
	for rest := page.Content; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		_, _ = w.Write(rest[:min(size, len(rest))])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// stalled sends half and then nothing until the client has had enough.
func stalled(w *reply, r *http.Request, page *Page) {
	w.Header().Set("ETag", page.ETag)
	_, _ = w.Write(page.Content[:len(page.Content)/2])
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// cutOff ends the connection in the middle of a body without a length.
func cutOff(w *reply, _ *http.Request, page *Page) {
	w.Header().Set("ETag", page.ETag)
	_, _ = w.Write(page.Content[:len(page.Content)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func loop(w *reply, r *http.Request, _ *Page) {
	n, _ := strconv.Atoi(r.URL.Query().Get(loops))
	w.Header().Set("Location", "?"+loops+"="+strconv.Itoa(n+1))
	w.WriteHeader(http.StatusFound)
}

// length announces so many times the true length, sends everything and closes
// the connection.
func length(times float64) func(*reply, *http.Request, *Page) {
	return func(w *reply, _ *http.Request, page *Page) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // HTTP/1 can always be hijacked
		}
		defer func() { _ = conn.Close() }()
		announced := int(float64(len(page.Content)) * times)
		fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
			w.Header().Get("Content-Type"), announced)
		_, _ = buf.Write(page.Content)
		_ = buf.Flush() // the client may be gone
		w.sent += len(page.Content)
	}
}

// charset claims another charset than UTF-8.
func charset(name string) func(*reply, *http.Request, *Page) {
	return func(w *reply, _ *http.Request, page *Page) {
		mediaType, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
		w.Header().Set("Content-Type", mediaType+"; charset="+name)
		_, _ = w.Write(page.Content)
	}
}
