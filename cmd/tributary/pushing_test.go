package main

import (
	"testing"

	"github.com/tributary-kb/tributary"
)

func TestDocumentsPublishedOnASubjectAreFoundUntilTheyAreDeleted(t *testing.T) {
	s := newSystem(t)
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "wiki", Kind: tributary.SourceSubject, Location: "wiki.>"}})
	fatal(t, err)
	// A plain publication, as any program makes one.
	fatal(t, s.nc.Publish("wiki.sky", []byte(`{"uri": "wiki:sky.md", "text": "The sky over the harbour is vermilion."}`)))
	awaitText(t, s, "vermilion", "wiki:sky.md")
	fatal(t, s.nc.Publish("wiki.sky", []byte(`{"specversion": "1.0", "id": "1", "type": "page.deleted", "source": "wiki:", "subject": "wiki:sky.md"}`)))
	awaitText(t, s, "vermilion")
	fatal(t, s.nc.Publish("wiki.crane", []byte(`{"uri": "wiki:crane.md", "text": "The crane lifts forty tonnes."}`)))
	status, err := s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "wiki"})
	fatal(t, err)
	if status.Documents != 1 || status.State != tributary.SourceActive || status.Owner == "" {
		t.Errorf("status %+v", status)
	}
	awaitText(t, s, "tonnes", "wiki:crane.md")
	_, err = s.RemoveSource(t.Context(), tributary.SourceRemoveRequest{Name: "wiki", Purge: true})
	fatal(t, err)
	awaitText(t, s, "tonnes")
}
