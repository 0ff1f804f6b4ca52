package stage

import (
	"strings"

	"github.com/tributary-kb/tributary"
)

// Subjects begin with these. Their first token is not that of the public
// protocol, so the two never meet.
const (
	subjectPrefix = "tributary-"
	deadPrefix    = subjectPrefix + "dead."
)

// Subject is where the input of a stage is published, one subject per lane
// and document: tributary-<stage>.<lane>.<kb>.<document>.
func Subject(stage string, h tributary.Head) string {
	return strings.Join([]string{subjectPrefix + stage, string(h.Lane), h.KB, h.Document}, ".")
}

// fenceToken stands in the place of the lane. No consumer takes what is there.
const fenceToken = "fence"

// FenceSubject is where the owners of a source say, in the stream of a stage's
// input, that nothing of a former owner may follow.
func FenceSubject(stage, kb, source string) string {
	return strings.Join([]string{subjectPrefix + stage, fenceToken, kb, source}, ".")
}

// IsFence reports whether a subject is a FenceSubject.
func IsFence(subject string) bool {
	h, ok := ParseSubject(subject)
	return ok && h.Lane == fenceToken
}

// LaneFilter matches the input of a stage in one lane.
func LaneFilter(stage string, lane tributary.Lane) string {
	return subjectPrefix + stage + "." + string(lane) + ".>"
}

// Filter matches all input of a stage.
func Filter(stage string) string { return subjectPrefix + stage + ".>" }

// DeadFilter matches all dead letters.
const DeadFilter = deadPrefix + ">"

// DeadSubject is where a dead letter of a stage is published.
func DeadSubject(stage string, h tributary.Head) string {
	return deadPrefix + stage + "." + h.KB + "." + h.Document
}

// ParseSubject returns the head that a stage's input subject tells of.
func ParseSubject(subject string) (tributary.Head, bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || !strings.HasPrefix(subject, subjectPrefix) {
		return tributary.Head{}, false
	}
	return tributary.Head{Lane: tributary.Lane(parts[1]), KB: parts[2], Document: parts[3]}, true
}
