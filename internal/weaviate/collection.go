package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// SchemaVersion numbers the properties and indexes of a collection. It
// changes whenever a collection of the old kind no longer serves: since 2,
// metadata can be filtered on.
const SchemaVersion = 2

// MaxDimension is the largest vector that the server stores.
const MaxDimension = 65535

const classPrefix = "Tributary_"

// A Collection is what must not change while a knowledge base is filled.
type Collection struct {
	Embedder  string // fingerprint of the embedder that makes the vectors, not empty
	Dimension int    // components of a vector, 1 to MaxDimension
}

// Settings are what a collection was created with. They are stored with it, as
// JSON in its description.
type Settings struct {
	Schema    int    `json:"schema"`    // SchemaVersion at that time; 0 if it was not created by Tributary
	Analysis  string `json:"analysis"`  // analysis.Version of the terms
	Embedder  string `json:"embedder"`  // Collection.Embedder
	Dimension int    `json:"dimension"` // Collection.Dimension
}

// String returns the settings in words.
func (s Settings) String() string {
	if s == (Settings{}) {
		return "a collection that Tributary did not create"
	}
	return fmt.Sprintf("schema %d, %s, embedder %q with %d dimensions", s.Schema, s.Analysis, s.Embedder, s.Dimension)
}

// A MismatchError says that a knowledge base has a collection that was made
// for something else. [Store.EnsureCollection] and [Store.Insert] return it.
type MismatchError struct {
	KB         string
	Stored     Settings // what the collection was created with
	Configured Settings // what this process needs
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("the index of knowledge base %q does not fit: stored is %v, configured is %v; `tributary reindex --kb %s` rebuilds it",
		e.KB, e.Stored, e.Configured, e.KB)
}

func (c Collection) settings() Settings {
	return Settings{Schema: SchemaVersion, Analysis: analysis.Version, Embedder: c.Embedder, Dimension: c.Dimension}
}

func (c Collection) check() error {
	if c.Embedder == "" {
		return fmt.Errorf("collection: the embedder has no fingerprint")
	}
	if c.Dimension < 1 || c.Dimension > MaxDimension {
		return fmt.Errorf("collection for embedder %q: %d dimensions, want 1 to %d", c.Embedder, c.Dimension, MaxDimension)
	}
	return nil
}

// EnsureCollection creates the collection of kb if there is none. Any number
// of processes may do so at once. A collection that was created with other
// settings is left alone and refused with a *MismatchError.
func (s *Store) EnsureCollection(ctx context.Context, kb string, c Collection) error {
	if err := c.check(); err != nil {
		return err
	}
	stored, err := s.settings(ctx, kb)
	if tributary.CodeOf(err) == tributary.CodeNotFound {
		stored, err = s.create(ctx, kb, c.settings())
	}
	if err == nil {
		err = s.awaitIndex(ctx, kb)
	}
	if err != nil {
		return err
	}
	return c.compare(kb, stored)
}

// CheckCollection says why the collection of kb does not fit, as a
// *MismatchError. It creates nothing: a knowledge base without a collection is
// a CodeNotFound error.
func (s *Store) CheckCollection(ctx context.Context, kb string, c Collection) error {
	if err := c.check(); err != nil {
		return err
	}
	stored, err := s.settings(ctx, kb)
	if err != nil {
		return err
	}
	return c.compare(kb, stored)
}

func (c Collection) compare(kb string, stored Settings) error {
	if want := c.settings(); stored != want {
		return &MismatchError{KB: kb, Stored: stored, Configured: want}
	}
	return nil
}

// awaitIndex waits until the collection of kb can be written to, which is a
// moment after its schema can be read. It asks once for each collection.
func (s *Store) awaitIndex(ctx context.Context, kb string) error {
	if _, known := s.usable.Load(kb); known {
		return nil
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := s.Count(ctx, kb)
		if err == nil {
			s.usable.Store(kb, true)
			return nil
		}
		if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Waiting && tributary.CodeOf(err) != tributary.CodeNotFound {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return away(ctx, fmt.Sprintf("wait for the collection of knowledge base %q", kb), ctx.Err())
		case <-timer.C:
		}
	}
}

// create makes the collection, or finds that somebody else just did, and
// returns the settings that it has then.
func (s *Store) create(ctx context.Context, kb string, settings Settings) (Settings, error) {
	class, err := newClass(kb, settings)
	if err != nil {
		return Settings{}, err
	}
	failed := s.client.Schema().ClassCreator().WithClass(class).Do(ctx)
	if failed != nil && statusOf(failed) != http.StatusUnprocessableEntity {
		return Settings{}, classify(ctx, fmt.Sprintf("create the collection of knowledge base %q", kb), failed)
	}
	stored, err := s.settings(ctx, kb)
	if failed != nil && tributary.CodeOf(err) == tributary.CodeNotFound {
		// 422, and yet it is not there: it was the definition that was refused.
		return Settings{}, classify(ctx, fmt.Sprintf("create the collection of knowledge base %q", kb), failed)
	}
	return stored, err
}

// settings reads what the collection of kb was created with.
func (s *Store) settings(ctx context.Context, kb string) (Settings, error) {
	class, err := className(kb)
	if err != nil {
		return Settings{}, err
	}
	got, err := s.client.Schema().ClassGetter().WithClassName(class).Do(ctx)
	if statusOf(err) == http.StatusNotFound {
		return Settings{}, notFound(kb)
	}
	if err != nil {
		return Settings{}, classify(ctx, fmt.Sprintf("read the collection of knowledge base %q", kb), err)
	}
	return parseSettings(got.Description), nil
}

// parseSettings reads a collection's description; zero for somebody else's.
func parseSettings(description string) Settings {
	var s Settings
	if err := json.Unmarshal([]byte(description), &s); err != nil {
		return Settings{}
	}
	return s
}

// DropCollection deletes the collection of kb with everything in it. It is no
// error if there is none.
func (s *Store) DropCollection(ctx context.Context, kb string) error {
	class, err := className(kb)
	if err != nil {
		return err
	}
	s.usable.Delete(kb)
	if err := s.client.Schema().ClassDeleter().WithClassName(class).Do(ctx); err != nil && statusOf(err) != http.StatusNotFound {
		return classify(ctx, fmt.Sprintf("drop the collection of knowledge base %q", kb), err)
	}
	return nil
}

// Collections returns the knowledge bases that have a collection, in
// alphabetical order; nil if there is none.
func (s *Store) Collections(ctx context.Context) ([]string, error) {
	schema, err := s.client.Schema().Getter().Do(ctx)
	if err != nil {
		return nil, classify(ctx, "list the collections", err)
	}
	var kbs []string
	for _, class := range schema.Classes {
		name, ok := strings.CutPrefix(class.Class, classPrefix)
		kb := strings.ReplaceAll(name, "_", "-")
		if ok && tributary.CheckKB(kb) == nil {
			kbs = append(kbs, kb)
		}
	}
	slices.Sort(kbs)
	return kbs, nil
}

// className names the collection of kb. Names of knowledge bases have no '_',
// so two never meet.
func className(kb string) (string, error) {
	if err := tributary.CheckKB(kb); err != nil {
		return "", tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	return classPrefix + strings.ReplaceAll(kb, "-", "_"), nil
}

func notFound(kb string) error {
	return tributary.Errorf(tributary.CodeNotFound, "knowledge base %q has no documents, and no collection in the index; `tributary add --kb %s PATH` begins it", kb, kb)
}

// newClass defines the collection of kb.
func newClass(kb string, settings Settings) (*models.Class, error) {
	name, err := className(kb)
	if err != nil {
		return nil, err
	}
	description, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("settings of knowledge base %q: %w", kb, err)
	}
	return &models.Class{
		Class:             name,
		Description:       string(description),
		Vectorizer:        "none",
		VectorIndexType:   "hnsw",
		VectorIndexConfig: map[string]any{"distance": "cosine"},
		InvertedIndexConfig: &models.InvertedIndexConfig{
			// The terms are analysed already; see internal/analysis.
			Stopwords: &models.StopwordConfig{Preset: "none"},
		},
		Properties: properties(),
	}, nil
}

// properties lists what an object has. Each index costs as much as the vector
// does, so a property has one only where a query needs it.
func properties() []*models.Property {
	return []*models.Property{
		filterable("document"),
		filterable("uri"),
		filterable("source"),
		filterable("content_type"),
		filterable("language"),
		// The metadata as "key=value" each.
		property("labels", "text[]", indexes{filter: true, tokenization: "field"}),
		property("changed", "date", indexes{ranges: true}),
		property("terms", "text", indexes{search: true, tokenization: "whitespace"}),
		property("title", "text", indexes{}),
		property("heading", "text[]", indexes{}),
		property("text", "text", indexes{}),
		property("hash", "text", indexes{}),
		property("metadata", "text", indexes{}),
		// Not int: GraphQL's integers have 32 bits, and a larger one is read
		// back as null. A number is exact up to 2^53.
		property("birth", "number", indexes{}),
	}
}

type indexes struct {
	filter, search, ranges bool
	tokenization           string // "" for the default, which only matters to an index
}

// filterable is a text that is compared as a whole.
func filterable(name string) *models.Property {
	return property(name, "text", indexes{filter: true, tokenization: "field"})
}

func property(name, dataType string, i indexes) *models.Property {
	return &models.Property{
		Name:              name,
		DataType:          []string{dataType},
		Tokenization:      i.tokenization,
		IndexFilterable:   &i.filter,
		IndexSearchable:   &i.search,
		IndexRangeFilters: &i.ranges,
	}
}
