package ingest

import (
	"strings"
	"testing"
)

const english = "Every accepted change gets a version, and a document's version only ever moves up, whatever workers crash, stall or race. "

func TestLanguagesAreToldApart(t *testing.T) {
	for want, text := range map[string]string{
		"en": english,
		"de": "Jede angenommene Änderung bekommt eine Version, und die Version eines Dokuments steigt immer nur, was auch immer geschieht. ",
		"fr": "Chaque modification acceptée reçoit une version, et la version d'un document ne fait qu'augmenter, quoi qu'il arrive. ",
		"es": "Cada cambio aceptado recibe una versión, y la versión de un documento solo puede aumentar, pase lo que pase. ",
		"ru": "Каждое принятое изменение получает версию, и версия документа только растёт, что бы ни случилось. ",
		"el": "Κάθε αποδεκτή αλλαγή παίρνει μια έκδοση, και η έκδοση ενός εγγράφου μόνο αυξάνεται. ",
		"":   "Too short.",
	} {
		if got := detectLanguage(strings.Repeat(text, max(1, 4*min(len(want), 1)))); got != want {
			t.Errorf("%q is taken for %q, want %q", text, got, want)
		}
	}
}

func BenchmarkDetectLanguage(b *testing.B) {
	text := strings.Repeat(english, 30)
	for b.Loop() {
		detectLanguage(text)
	}
}
