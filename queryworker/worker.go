package queryworker

import (
	"context"
	"errors"
	"fmt"

	"github.com/tributary-kb/tributary"
)

// Searcher is the index as a query sees it.
type Searcher interface {
	// Candidates returns at most q.Limit objects that fit q and pass its
	// filter. A knowledge base without an index is a CodeNotFound error.
	Candidates(ctx context.Context, kb string, q tributary.IndexQuery) ([]tributary.Candidate, error)
	// Objects returns the objects with these ids, in any order, and leaves
	// out those that the index does not have.
	Objects(ctx context.Context, kb string, ids []string) ([]tributary.Object, error)
}

// Records is the registry as a query sees it.
type Records interface {
	// Record returns what is known of a document, perhaps from a cache: a zero
	// Record with Revision 0 if nothing is.
	Record(ctx context.Context, kb, document string) (tributary.Record, error)
	// Await returns the record of at.Document as soon as it is settled at
	// at.Version or above, or an error when ctx ends first.
	Await(ctx context.Context, kb string, at tributary.At) (tributary.Record, error)
}

// Worker answers queries. Its fields are set before the first call and not
// changed after it; its methods may run concurrently.
type Worker struct {
	Searcher Searcher
	Records  Records
	// Freshness tells when documents were verified; nil says that of none.
	Freshness Freshness
	// EmbedQuery makes the vector of a query. Nil searches by keywords only.
	// An empty or zero vector says that the text has nothing to embed, a
	// *KeywordsOnlyError that there is a reason to do without a vector; the
	// search then uses keywords only.
	EmbedQuery func(ctx context.Context, text string) (tributary.Vector, error)
	// EmbedPassages makes the vectors of passages. Where it is set, the query's
	// vector is moved towards the best keyword hits: that helps lexical vectors,
	// costs a model's call with others, and is nil for them.
	EmbedPassages func(ctx context.Context, texts []string) ([]tributary.Vector, error)
	// TermWeight is the weight of a term of internal/analysis, larger for rare
	// ones, for the confidence of a reply. Nil gives all the same.
	TermWeight func(term string) float64
	// Reranker scores the best candidates anew; nil leaves them as they are.
	// It is given the first RerankTop, 0 means 50.
	Reranker  Reranker
	RerankTop int
	// Alpha is the weight of the vector part, 0 to 1, where the request does
	// not say: the best value for the embedder behind EmbedQuery.
	Alpha float64
	// Generator writes the answers; nil means an [Extractive] without stemming.
	Generator Generator
	// Limits bound what a request may ask for; zeros mean the defaults.
	Limits SearchConfig
	// Conversations keeps what was said; nil refuses requests that name a
	// conversation.
	Conversations Conversations
	// Cache keeps what the generator wrote; nil keeps nothing.
	Cache *AnswerCache
	// Answers says how questions are answered; zeros mean the defaults.
	Answers AskConfig
	// Terms returns the words of text that count, as [Extractive.Terms] does;
	// support is counted in them. Nil means lower-case words.
	Terms func(text, lang string) []string
	// MaxContextTokens bounds the passages that the generator is given, in
	// estimated tokens; 0 means no bound.
	MaxContextTokens int
}

func (w *Worker) generator() Generator {
	if w.Generator == nil {
		return &Extractive{}
	}
	return w.Generator
}

func (w *Worker) limits() SearchConfig {
	limits := w.Limits
	limits.SetDefaults()
	return limits
}

// fault gives err, met while doing act, the protocol code that tells a client
// what to make of it. A code that is there already stays.
func fault(ctx context.Context, act string, err error) error {
	var coded *tributary.Error
	outcome, _ := tributary.OutcomeOf(err)
	switch {
	case errors.As(err, &coded):
		return fmt.Errorf("%s: %w", act, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return tributary.Errorf(tributary.CodeDeadline, "%s: the deadline passed: %w", act, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", act, ctx.Err())
	case outcome == tributary.Rejected:
		return tributary.Errorf(tributary.CodeInvalid, "%s: %w", act, err)
	}
	return tributary.Errorf(tributary.CodeUnavailable, "%s: %w", act, err)
}

// invalid is a CodeInvalid error.
func invalid(format string, args ...any) error {
	return tributary.Errorf(tributary.CodeInvalid, format, args...)
}

// tooLarge is a CodeTooLarge error that names what, its limit and the setting.
func tooLarge(what string, got, limit int, setting string) error {
	return tributary.Errorf(tributary.CodeTooLarge, "%s is %d, the limit is %d (%s)", what, got, limit, setting)
}
