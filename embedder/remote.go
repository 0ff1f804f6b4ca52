package embedder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

const (
	// denseAlpha is the weight of a model of meaning in a hybrid search:
	// as much as the keywords.
	denseAlpha = 0.5
	// firstPause is the mean pause before the second attempt; it doubles.
	firstPause = 500 * time.Millisecond
	// tokenShare is the part of a minute's tokens that one request may take,
	// so that the pace is even: what a Budget gives in about four seconds.
	tokenShare = 14
)

// Remote embeds by requests to a server, in the form of its provider. Make one
// with New.
type Remote struct {
	cfg      Config
	provider provider
	wire     wire
	endpoint *endpoint
	budget   Budget
	pace     *pace
	paid     *paid
	pause    func(context.Context, time.Duration) error

	preparing chan struct{} // holds one while somebody prepares
	prepared  atomic.Bool
	limits    atomic.Pointer[Limits]
	textLimit atomic.Int64 // tokens that the model reads of a text, 0 if unknown
	dimension atomic.Int64 // 0 until known
	miscounts atomic.Bool  // the server's counts of tokens cannot be believed
	counters  struct{ requests, retries, texts, tokens atomic.Int64 }
}

// Counters say what a server has been asked for since the model was made.
type Counters struct {
	Requests int64 // HTTP requests, attempts counted one by one
	Retries  int64 // those of them that repeated another
	Texts    int64 // embedded
	Tokens   int64 // as the server counted them, 0 if it does not
}

func newRemote(cfg Config, budget Budget) (*Remote, error) {
	endpoint, err := newEndpoint(cfg)
	if err != nil {
		return nil, err
	}
	p := providers[cfg.Provider]
	m := &Remote{
		cfg: cfg, provider: p, wire: p.wire(cfg), endpoint: endpoint, budget: budget, preparing: make(chan struct{}, 1),
		pace: newPace(cfg.MaxConcurrency), paid: &paid{bytes: cfg.CacheBytes}, pause: pause,
	}
	limits := Limits{Inputs: cfg.MaxInputs, Tokens: cfg.MaxTokens, Bytes: cfg.MaxBytes, Parallel: cfg.MaxConcurrency}
	if cfg.TokensPerMinute > 0 {
		limits.Tokens = max(1, min(limits.Tokens, cfg.TokensPerMinute/tokenShare))
	}
	m.limits.Store(&limits)
	m.textLimit.Store(int64(cfg.MaxTextTokens))
	m.dimension.Store(int64(cfg.Dimensions))
	m.prepared.Store(cfg.Provider != ProviderTEI)
	return m, nil
}

// Counters returns the counters as they stand.
func (m *Remote) Counters() Counters {
	c := &m.counters
	return Counters{Requests: c.requests.Load(), Retries: c.retries.Load(), Texts: c.texts.Load(), Tokens: c.tokens.Load()}
}

// Fingerprint implements Model: provider, model and revision, the dimension
// that is asked for, and a checksum over prefixes, prompts and normalisation.
// Pooling is a matter of the model, or of embedder.revision where a server may
// choose it. The server's address is left out: the same model gives the same
// vectors wherever it runs, and a server that moves must not cost an index.
func (m *Remote) Fingerprint() string {
	model := m.cfg.Model
	if m.cfg.Revision != "" {
		model += "@" + m.cfg.Revision
	}
	c := m.cfg
	sum := tributary.Hash([]byte(c.QueryPrefix + "\x00" + c.DocumentPrefix + "\x00" + c.QueryPrompt + "\x00" + c.DocumentPrompt + "\x00l2"))
	return fmt.Sprintf("%s:%s:%d:%s", c.Provider, model, c.Dimensions, sum[:8])
}

// Alpha implements Model.
func (m *Remote) Alpha() float64 {
	if m.cfg.Alpha != nil {
		return *m.cfg.Alpha
	}
	return denseAlpha
}

// Limits implements Model.
func (m *Remote) Limits() Limits { return *m.limits.Load() }

// Dimension implements Model. It embeds a few words if no reply has told yet.
func (m *Remote) Dimension(ctx context.Context) (int, error) {
	if err := m.prepare(ctx); err != nil {
		return 0, err
	}
	if d := m.dimension.Load(); d > 0 {
		return int(d), nil
	}
	if err := m.probe(ctx); err != nil {
		return 0, err
	}
	return int(m.dimension.Load()), nil
}

// prepare asks a server that tells of itself, once.
func (m *Remote) prepare(ctx context.Context) error {
	if m.prepared.Load() {
		return nil
	}
	select {
	case m.preparing <- struct{}{}:
	case <-ctx.Done(): // a query does not wait for others to give up
		return m.outcome(ctx, context.Cause(ctx), 0)
	}
	defer func() { <-m.preparing }()
	if m.prepared.Load() {
		return nil
	}
	info, err := readInfo(ctx, m.endpoint)
	if err != nil {
		return m.outcome(ctx, err, firstPause)
	}
	if err := info.check(m.cfg); err != nil {
		return err
	}
	limits := m.Limits()
	if info.MaxInputs > 0 {
		limits.Inputs = min(limits.Inputs, info.MaxInputs)
	}
	m.limits.Store(&limits)
	if info.MaxInputTokens > 0 {
		m.textLimit.Store(int64(info.MaxInputTokens))
	}
	m.prepared.Store(true)
	return nil
}

// Embed implements Model. It sends as many requests as the limits ask for, and
// none for texts whose vectors it still has.
func (m *Remote) Embed(ctx context.Context, texts []string, role Role) ([]tributary.Vector, error) {
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}
	vectors := make([]tributary.Vector, len(texts))
	failed := tributary.BatchError{}
	var open []string
	var places []int // of the open texts
	for i, text := range texts {
		text = m.prefix(role) + text
		if vectors[i] = m.paid.get(text, role); vectors[i] != nil {
			continue
		}
		if err := m.checkLength(text); err != nil {
			failed[i] = err
			continue
		}
		open, places = append(open, text), append(places, i)
	}
	for _, batch := range m.cut(open) {
		some, err := m.batch(ctx, batch, role)
		items, isBatch := errors.AsType[tributary.BatchError](err)
		if err != nil && !isBatch {
			return nil, err
		}
		for i, v := range some {
			vectors[places[i]] = v
			if items[i] != nil {
				failed[places[i]] = items[i]
			}
		}
		places = places[len(batch):]
	}
	if len(failed) > 0 {
		return vectors, failed
	}
	return vectors, nil
}

func (m *Remote) prefix(role Role) string {
	if role == RoleQuery {
		return m.cfg.QueryPrefix
	}
	return m.cfg.DocumentPrefix
}

// batch embeds texts by one request. If the server refuses it for what is in
// it, the halves are tried by themselves, down to the text that is at fault.
func (m *Remote) batch(ctx context.Context, texts []string, role Role) ([]tributary.Vector, error) {
	vectors, err := m.request(ctx, texts, role)
	if !refused(err) {
		return vectors, err
	}
	if len(texts) == 1 {
		return m.refuse(ctx, texts[0], role, err)
	}
	half := len(texts) / 2
	first, err := m.batch(ctx, texts[:half], role)
	failed, isBatch := errors.AsType[tributary.BatchError](err)
	if err != nil && !isBatch {
		return nil, err
	}
	second, err := m.batch(ctx, texts[half:], role)
	others, isBatch := errors.AsType[tributary.BatchError](err)
	if err != nil && !isBatch {
		return nil, err
	}
	all := tributary.BatchError{}
	maps.Copy(all, failed)
	for i, e := range others {
		all[half+i] = e
	}
	if len(all) == 0 {
		return append(first, second...), nil
	}
	return append(first, second...), all
}

// refused reports whether a smaller request may pass where this one did not.
func refused(err error) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.aboutContent()
	}
	_, cut := errors.AsType[*truncatedError](err)
	return cut
}

// refuse rejects the one text that does not pass, unless a harmless one does
// not either: then the request is at fault, or the server's count of tokens,
// and no document must be lost for it.
func (m *Remote) refuse(ctx context.Context, text string, role Role, refusal error) ([]tributary.Vector, error) {
	if err := m.probe(ctx); err != nil {
		return nil, err
	}
	if _, cut := errors.AsType[*truncatedError](refusal); cut && m.miscounts.Load() {
		return m.request(ctx, []string{text}, role)
	}
	err := tributary.Rejectf("the embedding server does not take a text of %d bytes, about %d tokens: %w", len(text), analysis.CountTokens(text), refusal)
	return make([]tributary.Vector, 1), tributary.BatchError{0: err}
}

// probeText is embedded to see whether a server embeds anything.
const probeText = "a few words that are harmless"

// probe embeds a harmless text. A server that counts fewer tokens than that
// has words is not believed again.
func (m *Remote) probe(ctx context.Context) error {
	_, err := m.request(ctx, []string{m.cfg.DocumentPrefix + probeText}, RoleDocument)
	if _, cut := errors.AsType[*truncatedError](err); cut {
		m.miscounts.Store(true)
		_, err = m.request(ctx, []string{m.cfg.DocumentPrefix + probeText}, RoleDocument)
	}
	if refusal, ok := errors.AsType[*statusError](err); ok && refusal.aboutContent() {
		return tributary.Unavailable(fmt.Errorf("%w: it refuses any text; see embedder.model (%q) and embedder.dimensions (%d)",
			refusal, m.cfg.Model, m.cfg.Dimensions), configPause)
	}
	return err
}

// request sends one request until it is answered, Attempts times at most. The
// result is a vector for each text, an error that refused knows if the content
// is at fault, or an error with an outcome.
func (m *Remote) request(ctx context.Context, texts []string, role Role) ([]tributary.Vector, error) {
	path, payload := m.wire.request(texts, role)
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("embed: encode the request: %w", err)
	}
	for attempt := 1; ; attempt++ {
		r, err := m.send(ctx, path, body, texts, role)
		if err == nil {
			return m.take(r, texts, role)
		}
		if refused(err) || !m.mayPass(ctx, err) {
			return nil, m.outcome(ctx, err, 0)
		}
		wait := m.wait(err, attempt)
		if attempt >= m.cfg.Attempts || wait > m.cfg.MaxWait {
			return nil, m.outcome(ctx, fmt.Errorf("attempt %d: %w", attempt, err), wait)
		}
		if err := m.pause(ctx, wait); err != nil {
			return nil, m.outcome(ctx, err, 0)
		}
		m.counters.retries.Add(1)
	}
}

// mayPass reports whether another attempt makes sense after err.
func (m *Remote) mayPass(ctx context.Context, err error) bool {
	if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Waiting || ctx.Err() != nil {
		return false
	}
	if _, malformed := errors.AsType[*malformedError](err); malformed {
		return false
	}
	status, ok := errors.AsType[*statusError](err)
	return !ok || status.temporary()
}

// outcome says what is to become of the work after err. Nothing that happens
// between here and the server is a document's fault, not even that the time
// for a batch is over.
func (m *Remote) outcome(ctx context.Context, err error, after time.Duration) error {
	if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Waiting && ctx.Err() == nil || refused(err) {
		return err
	}
	if ctx.Err() != nil {
		return tributary.Unavailable(fmt.Errorf("embed: %w", context.Cause(ctx)), 0)
	}
	status, ok := errors.AsType[*statusError](err)
	_, malformed := errors.AsType[*malformedError](err)
	switch {
	case malformed:
		return tributary.Unavailable(fmt.Errorf("embed: reply of %s: %w", m.cfg.BaseURL, err), configPause)
	case ok && !status.temporary():
		return tributary.Unavailable(fmt.Errorf("embed: %w; see %s", err, status.setting(m.cfg.Model)), configPause)
	}
	return tributary.Unavailable(fmt.Errorf("embed: %w", err), after)
}

// send makes one attempt, when the pace and the budget allow it. Queries do
// not wait for documents.
func (m *Remote) send(ctx context.Context, path string, body []byte, texts []string, role Role) (reply, error) {
	ticket, err := m.pace.enter(ctx, role == RoleQuery)
	if err != nil {
		return reply{}, err
	}
	overloaded := false
	defer func() { m.pace.leave(ticket, overloaded) }()
	tokens := 0
	for _, text := range texts {
		tokens += analysis.CountTokens(text)
	}
	if err := m.budget.Reserve(ctx, tokens); err != nil {
		return reply{}, err
	}
	m.counters.requests.Add(1)
	var r reply
	err = m.endpoint.call(ctx, http.MethodPost, path, body, func(resp *http.Response) (err error) {
		r, err = m.wire.read(resp, len(texts))
		return err
	})
	s := Settlement{Reserved: tokens}
	if err == nil {
		s.Used = r.tokens
		if s.Used == 0 { // not counted
			s.Used = tokens
		}
	}
	if status, ok := errors.AsType[*statusError](err); ok {
		overloaded = status.overloaded()
		s.Pause = status.after
	} else {
		overloaded = errors.Is(err, context.DeadlineExceeded)
	}
	m.budget.Settle(context.WithoutCancel(ctx), s)
	return r, err
}

// take checks a reply, keeps its vectors, and returns them in the order of the
// texts.
func (m *Remote) take(r reply, texts []string, role Role) ([]tributary.Vector, error) {
	if err := m.checkTokens(r.tokens, texts); err != nil {
		return nil, err
	}
	failed := tributary.BatchError{}
	for i, v := range r.vectors {
		if err := m.checkDimension(len(v)); err != nil {
			return nil, err
		}
		if err := normalise(v); err != nil {
			failed[i] = fmt.Errorf("embed: reply of %s: %w", m.cfg.BaseURL, err)
			r.vectors[i] = nil
			continue
		}
		m.paid.put(texts[i], role, v)
	}
	m.counters.texts.Add(int64(len(texts) - len(failed)))
	m.counters.tokens.Add(int64(r.tokens))
	if len(failed) > 0 {
		return r.vectors, failed
	}
	return r.vectors, nil
}

// checkDimension learns the dimension from the first vector and holds all
// others against it.
func (m *Remote) checkDimension(got int) error {
	if got == 0 {
		return tributary.Unavailable(fmt.Errorf("embed: reply of %s: an empty vector", m.cfg.BaseURL), configPause)
	}
	if m.dimension.CompareAndSwap(0, int64(got)) || m.dimension.Load() == int64(got) {
		return nil
	}
	return tributary.Unavailable(fmt.Errorf("embed: %s gives vectors of %d dimensions, expected %d; see embedder.model (%q) and embedder.dimensions (%d)",
		m.cfg.BaseURL, got, m.dimension.Load(), m.cfg.Model, m.cfg.Dimensions), configPause)
}

// wait returns the pause after a failed attempt: what the server asks for, or
// twice the one before, with jitter.
func (m *Remote) wait(err error, attempt int) time.Duration {
	if status, ok := errors.AsType[*statusError](err); ok {
		switch {
		case status.after > 0:
			return status.after
		case status.quota():
			return quotaPause
		}
	}
	d := min(firstPause<<min(attempt-1, 10), m.cfg.MaxWait)
	return d/2 + rand.N(d/2+1)
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
