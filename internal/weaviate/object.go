package weaviate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-openapi/strfmt"
	"github.com/google/uuid"
	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// MaxBirth is the largest birth version that can be stored: what is larger
// would be rounded.
const MaxBirth = 1 << 53

// fields are what a query reads of an object.
const fields = "document uri birth title source content_type language metadata heading text hash changed"

// analyse returns the terms by which text is found. The language stays open:
// an object and a query must be analysed alike, and a query has none.
func analyse(text string) string { return analysis.Field(text, "") }

// terms are what an object is found by: its title, its headings and its text.
func terms(o tributary.Object) string {
	return analyse(tributary.EmbeddingText(o.Title, tributary.Chunk{Heading: o.Heading, Text: o.Text}))
}

// encode turns an object into the client's form. Of the types that a property
// may have there, the batch keeps float64, string and []string; it drops
// others without a word.
func encode(class string, o tributary.Object) (*models.Object, error) {
	metadata, err := encodeMetadata(o.Metadata)
	if err != nil {
		return nil, err
	}
	p := map[string]any{
		"document":     o.Document,
		"uri":          o.URI,
		"birth":        float64(o.Birth),
		"title":        o.Title,
		"source":       o.Source,
		"content_type": o.ContentType,
		"language":     o.Language,
		"metadata":     metadata,
		"text":         o.Text,
		"hash":         o.Hash,
		"terms":        terms(o),
	}
	if len(o.Heading) > 0 {
		p["heading"] = o.Heading
	}
	if len(o.Metadata) > 0 {
		p["labels"] = labels(o.Metadata)
	}
	if !o.Changed.IsZero() {
		p["changed"] = o.Changed.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
	}
	return &models.Object{Class: class, ID: strfmt.UUID(o.ID), Vector: models.C11yVector(o.Vector), Properties: p}, nil
}

// label is what a filter on metadata compares.
func label(key, value string) string { return key + "=" + value }

// labels are the metadata as the filters see them, in order of the keys.
func labels(m map[string]string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, label(key, m[key]))
	}
	return out
}

func encodeMetadata(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	data, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	return string(data), nil
}

// check reports why o cannot be stored in a collection of vectors with dim
// components, without asking the server.
func check(o tributary.Object, dim int) error {
	if id, err := uuid.Parse(o.ID); err != nil || id.String() != o.ID {
		return errors.New("the id is not a UUID in its usual form")
	}
	if o.Document == "" {
		return errors.New("it belongs to no document")
	}
	if o.Birth > MaxBirth {
		return fmt.Errorf("birth %d is above the limit of %d", o.Birth, uint64(MaxBirth))
	}
	if err := o.Vector.Check(dim); err != nil {
		return err
	}
	return checkText(o)
}

// checkText finds the invalid UTF-8 for which the whole batch would be refused.
func checkText(o tributary.Object) error {
	texts := map[string]string{
		"document": o.Document, "uri": o.URI, "title": o.Title, "source": o.Source,
		"content type": o.ContentType, "language": o.Language, "text": o.Text, "hash": o.Hash,
	}
	for _, h := range o.Heading {
		if !utf8.ValidString(h) {
			texts["heading"] = h
		}
	}
	for k, v := range o.Metadata {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			texts["metadata"] = k + v
		}
	}
	for name, text := range texts {
		if !utf8.ValidString(text) {
			return fmt.Errorf("its %s is not valid UTF-8", name)
		}
	}
	return nil
}

// stored is an object as the server returns it, over GraphQL with its
// additional properties, over REST without.
type stored struct {
	Document    string    `json:"document"`
	URI         string    `json:"uri"`
	Birth       uint64    `json:"birth"`
	Title       string    `json:"title"`
	Source      string    `json:"source"`
	ContentType string    `json:"content_type"`
	Language    string    `json:"language"`
	Metadata    string    `json:"metadata"`
	Heading     []string  `json:"heading"`
	Text        string    `json:"text"`
	Hash        string    `json:"hash"`
	Changed     time.Time `json:"changed"`
	Additional  struct {
		ID       string  `json:"id"`
		Score    float64 `json:"score,string"`
		Distance float64 `json:"distance"`
	} `json:"_additional"`
}

func (s stored) object() (tributary.Object, error) {
	o := tributary.Object{
		ID:       s.Additional.ID,
		Document: s.Document,
		URI:      s.URI,
		Birth:    s.Birth,
		Attributes: tributary.Attributes{
			Title: s.Title, Source: s.Source, ContentType: s.ContentType, Language: s.Language,
		},
		Heading: s.Heading,
		Text:    s.Text,
		Hash:    s.Hash,
		Changed: s.Changed,
	}
	if s.Metadata != "" {
		if err := json.Unmarshal([]byte(s.Metadata), &o.Metadata); err != nil {
			return o, fmt.Errorf("object %s: metadata: %w", o.ID, err)
		}
	}
	return o, nil
}

// decode turns the client's form of an object back.
func decode(m *models.Object) (tributary.Object, error) {
	data, err := json.Marshal(m.Properties)
	if err != nil {
		return tributary.Object{}, fmt.Errorf("object %s: %w", m.ID, err)
	}
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return tributary.Object{}, fmt.Errorf("object %s: %w", m.ID, err)
	}
	s.Additional.ID = m.ID.String()
	o, err := s.object()
	o.Vector = tributary.Vector(m.Vector)
	return o, err
}
