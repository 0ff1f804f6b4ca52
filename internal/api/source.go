package api

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary"
)

// The verbs of sources, answered by the workers that follow them.
const (
	VerbSourceAdd     = "source-add"
	VerbSourceList    = "source-ls" // streamed
	VerbSourceShow    = "source-show"
	VerbSourcePause   = "source-pause"
	VerbSourceResume  = "source-resume"
	VerbSourceConfirm = "source-confirm"
	VerbSourceRemove  = "source-rm"
	VerbSourceSync    = "source-sync"
)

// Sources is what the source service needs. All fields are needed.
type Sources struct {
	Add    func(ctx context.Context, kb string, req tributary.SourceAddRequest) (tributary.SourceStatus, error)
	Show   func(ctx context.Context, kb string, req tributary.SourceRequest) (tributary.SourceStatus, error)
	Pause  func(ctx context.Context, kb string, req tributary.SourceRequest) (tributary.SourceStatus, error)
	Resume func(ctx context.Context, kb string, req tributary.SourceRequest) (tributary.SourceStatus, error)
	// Confirm lets the deletions go on that a source holds.
	Confirm func(ctx context.Context, kb string, req tributary.SourceRequest) (tributary.SourceStatus, error)
	Remove  func(ctx context.Context, kb string, req tributary.SourceRemoveRequest) (tributary.SourceStatus, error)
	// Sync returns when the look that it asks for is done.
	Sync func(ctx context.Context, kb string, req tributary.SourceSyncRequest) (tributary.SourceStatus, error)
	List func(ctx context.Context, kb string, req tributary.SourceListRequest, send func(tributary.SourceStatus) error) error
}

// ServeSources answers the verbs of sources.
func ServeSources(nc *nats.Conn, cfg Config, src Sources) (*Service, error) {
	s, err := newService(nc, cfg)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		plain(s, VerbSourceAdd, func(ctx context.Context, kb string, req tributary.SourceAddRequest) (tributary.SourceStatus, error) {
			if err := req.Check(); err != nil {
				return tributary.SourceStatus{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
			}
			return src.Add(ctx, kb, req)
		}),
		plain(s, VerbSourceShow, src.Show),
		plain(s, VerbSourcePause, src.Pause),
		plain(s, VerbSourceResume, src.Resume),
		plain(s, VerbSourceConfirm, src.Confirm),
		plain(s, VerbSourceRemove, src.Remove),
		plain(s, VerbSourceSync, src.Sync),
		streamed(s, VerbSourceList, src.List),
	)
	if err != nil {
		return nil, errors.Join(err, s.micro.Stop())
	}
	return s, nil
}

// AddSource follows a source from now on, or as req says from now on if there
// is one of its name.
func (c *Client) AddSource(ctx context.Context, req tributary.SourceAddRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourceAdd, req)
}

// ListSources calls fn with the sources of the knowledge base, in order of
// name.
func (c *Client) ListSources(ctx context.Context, fn func(tributary.SourceStatus) error) error {
	return stream(ctx, c, VerbSourceList, tributary.SourceListRequest{}, fn)
}

// ShowSource returns how a source is doing.
func (c *Client) ShowSource(ctx context.Context, req tributary.SourceRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourceShow, req)
}

// PauseSource stops looking at a source.
func (c *Client) PauseSource(ctx context.Context, req tributary.SourceRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourcePause, req)
}

// ResumeSource goes on looking at it.
func (c *Client) ResumeSource(ctx context.Context, req tributary.SourceRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourceResume, req)
}

// ConfirmSource lets the deletions go on that a source holds.
func (c *Client) ConfirmSource(ctx context.Context, req tributary.SourceRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourceConfirm, req)
}

// RemoveSource ends the following of a source.
func (c *Client) RemoveSource(ctx context.Context, req tributary.SourceRemoveRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourceRemove, req)
}

// SyncSource looks at a source now and returns when that is done.
func (c *Client) SyncSource(ctx context.Context, req tributary.SourceSyncRequest) (tributary.SourceStatus, error) {
	return call[tributary.SourceStatus](ctx, c, c.kb, VerbSourceSync, req)
}
