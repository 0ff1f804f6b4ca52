package source

import "time"

// maxSettle is the longest that a report is held back because changes go on.
const maxSettle = time.Second

// settling holds back reports of what changes until it is quiet. The zero
// value is empty.
type settling struct{ changes map[string]span }

// span is the time of the first and the last change that were not reported.
type span struct{ first, last time.Time }

// touch notes a change of uri; "" stands for anything.
func (s *settling) touch(uri string, now time.Time) {
	if s.changes == nil {
		s.changes = make(map[string]span)
	}
	first := now
	if old, ok := s.changes[uri]; ok {
		first = old.first
	}
	s.changes[uri] = span{first: first, last: now}
}

// settled takes out what has settled; all there is if "" has, which covers it.
func (s *settling) settled(now time.Time) (uris []string) {
	for uri, c := range s.changes {
		if c.due().After(now) {
			continue
		}
		if uri == "" {
			clear(s.changes)
			return []string{""}
		}
		uris = append(uris, uri)
	}
	for _, uri := range uris {
		delete(s.changes, uri)
	}
	return uris
}

// wake fires when the next change will have settled; it is nil if there is none.
func (s *settling) wake(now time.Time) <-chan time.Time {
	if len(s.changes) == 0 {
		return nil
	}
	wait := maxSettle
	for _, c := range s.changes {
		wait = min(wait, c.due().Sub(now))
	}
	return time.After(wait)
}

// due is when the change counts as settled.
func (c span) due() time.Time {
	due, latest := c.last.Add(settle), c.first.Add(maxSettle)
	if latest.Before(due) {
		return latest
	}
	return due
}
