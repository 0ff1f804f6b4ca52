// Package queryworker finds passages and answers questions from them.
//
// A [tributary.SearchRequest] comes in and its hits go out; a
// [tributary.AskRequest] comes in and an answer with citations goes out, piece
// by piece. The index that it searches ([Searcher]), the registry that says
// which chunks are current ([Records]) and the model that writes answers
// ([Generator]) are declared here and built elsewhere.
//
// # What a reader sees
//
// The index holds more than what is current: chunks of a version that is being
// written, and chunks of an older version that are about to be swept. The
// worker therefore asks the registry about each document that the index
// returns and drops every candidate that the document's current manifest does
// not name. All hits of one document in one reply are named by one manifest,
// so two versions never mix.
package queryworker
