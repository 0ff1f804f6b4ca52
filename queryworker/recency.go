package queryworker

import (
	"math"
	"time"

	"github.com/tributary-kb/tributary"
)

const defaultRecencyWeight = 0.5

// favourRecent multiplies the scores by what tributary.Recency says.
func favourRecent(pool []*candidate, r tributary.Recency, now time.Time) {
	for _, c := range pool {
		factor := recency(r, c.Age(now))
		c.score *= factor
		c.why.Recency = &factor
	}
}

func recency(r tributary.Recency, age time.Duration) float64 {
	return 1 - r.Weight + r.Weight*math.Exp2(-age.Seconds()/r.HalfLifeSeconds)
}
