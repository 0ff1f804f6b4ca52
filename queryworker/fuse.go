package queryworker

import (
	"slices"

	"github.com/tributary-kb/tributary"
)

// rankConstant is the k of reciprocal rank fusion, as its authors have it.
const rankConstant = 60

// fuse joins the two rankings into one, best first, each candidate as the mix
// of its knowledge base says. A passage that is in both becomes one candidate.
// Scores are 0 to 1.
func fuse(keywords, vectors ranked, mixes map[string]tributary.Mix) ranked {
	byID := map[string]*candidate{}
	var all ranked
	add := func(list ranked, weight func(alpha float64) float64, note func(why *tributary.HitExplain, score float64, rank int)) {
		relative := list.relative()
		for i, c := range list {
			raw, mix, scale := c.score, mixes[c.kb], relative
			if mix.Fusion == tributary.FusionRanked {
				scale = reciprocal
			}
			known, ok := byID[c.ID]
			if !ok {
				known = c
				known.score = 0
				byID[c.ID] = known
				all = append(all, known)
			}
			known.score += weight(mix.Alpha) * scale(i, raw)
			note(&known.why, raw, i+1)
		}
	}
	add(keywords, func(alpha float64) float64 { return 1 - alpha }, func(why *tributary.HitExplain, score float64, rank int) { why.Keyword, why.KeywordRank = &score, rank })
	add(vectors, func(alpha float64) float64 { return alpha }, func(why *tributary.HitExplain, score float64, rank int) { why.Vector, why.VectorRank = &score, rank })
	for _, c := range all {
		c.why.Fused = c.score
	}
	slices.SortStableFunc(all, better)
	return all
}

// relative maps the list's scores to 0..1, all to 1 where they are equal.
func (list ranked) relative() func(place int, score float64) float64 {
	if len(list) == 0 {
		return nil
	}
	high, low := list[0].score, list[len(list)-1].score
	return func(_ int, score float64) float64 {
		if high == low {
			return 1
		}
		return (score - low) / (high - low)
	}
}

// reciprocal maps places, from 0, to 1 and below.
func reciprocal(place int, _ float64) float64 {
	return (rankConstant + 1) / float64(rankConstant+1+place)
}
