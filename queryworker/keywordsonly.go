package queryworker

// A KeywordsOnlyError is what a [Worker]'s EmbedQuery returns if a query has
// no vector for a reason that does not keep it from being answered: the search
// goes by keywords alone, and says why in its notes.
type KeywordsOnlyError struct{ Reason error }

// Error implements error.
func (e *KeywordsOnlyError) Error() string { return "searched by keywords alone: " + e.Reason.Error() }

// Unwrap returns the reason.
func (e *KeywordsOnlyError) Unwrap() error { return e.Reason }
