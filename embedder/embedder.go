// Package embedder gives chunks their vectors: a tributary.Chunked comes in, a
// tributary.Embedded goes out, whose chunks carry a vector each, or the ID of
// the stored chunk that has the same content.
//
// Vectors come from a Model: the built-in lexical one, which needs neither
// network nor weights, a model in this process (package local), or a server
// that speaks the protocol of one of the providers.
package embedder

import (
	"context"
	"math"

	"github.com/tributary-kb/tributary"
)

// A Role says what a text is to be compared with: models may embed queries
// and documents differently.
type Role string

// The roles.
const (
	RoleDocument Role = "document"
	RoleQuery    Role = "query"
)

// A Model turns texts into vectors. It is safe for concurrent use.
type Model interface {
	// Embed returns one vector per text, L2-normalised, in order; none for no
	// text. If single texts fail it returns the other vectors and a
	// tributary.BatchError that names the failed ones by their index. Any
	// other error means that there are no vectors, and its
	// tributary.OutcomeOf says what to do about it.
	Embed(ctx context.Context, texts []string, role Role) ([]tributary.Vector, error)
	// Fingerprint names everything that the vectors depend on. Vectors with
	// different fingerprints cannot be compared.
	Fingerprint() string
	// Dimension returns the number of components of every vector. A model
	// that does not know it yet asks its server.
	Dimension(ctx context.Context) (int, error)
	// Alpha is the weight that the vectors deserve in a hybrid search by
	// default, from 0 (keywords only) to 1 (vectors only).
	Alpha() float64
	// Limits bound what one call of Embed should be given.
	Limits() Limits
}

// Limits bound one batch. Zero means that there is no limit.
type Limits struct {
	Inputs int // texts
	Tokens int // in all, as analysis.CountTokens estimates them
	Bytes  int // in all
	// Parallel is how many calls of Embed at once make sense for one caller;
	// 0 is 1.
	Parallel int
}

// An Option changes what New makes.
type Option func(*options)

type options struct{ budget Budget }

// WithBudget makes a model that is a server keep within b.
func WithBudget(b Budget) Option { return func(o *options) { o.budget = b } }

// New returns the model that cfg describes. It makes no network call.
func New(cfg Config, opts ...Option) (Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.SetDefaults()
	switch cfg.Provider {
	case ProviderLexical:
		return newLexical(cfg), nil
	case ProviderStatic, ProviderEncoder:
		return newInProcess(cfg)
	}
	o := options{budget: unlimited{}}
	for _, opt := range opts {
		opt(&o)
	}
	return newRemote(cfg, o.budget)
}

// normalise scales v to length 1 in place and reports why it cannot be
// stored, if so.
func normalise(v tributary.Vector) error {
	if err := v.Check(len(v)); err != nil {
		return err
	}
	largest := 0.0 // scaled by it, squares neither overflow nor vanish
	for _, x := range v {
		largest = max(largest, math.Abs(float64(x)))
	}
	sum := 0.0
	for _, x := range v {
		scaled := float64(x) / largest
		sum += scaled * scaled
	}
	length := math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) / largest / length)
	}
	return nil
}
