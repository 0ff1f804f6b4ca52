package chunker

// A level grades a boundary: cuts are made at the lowest within reach.
type level uint8

const (
	levelSection  level = iota // between small sections
	levelBlock                 // between blocks
	levelLine                  // between lines of lists, code and tables
	levelSentence              // between sentences
	levelWord                  // between words
	levelHeading               // behind a heading, which belongs to what follows
	levelRune                  // inside a word
)

// A unit is a piece of text that is not divided any further. It has neither
// white space at its ends nor only white space.
type unit struct {
	start, end int   // byte offsets into the document's text
	tokens     int   // its own
	gap        int   // tokens of the white space before it
	before     level // of the boundary before it
	heading    bool  // it is, or is part of, a heading
	section    int   // number of its section in the run
}

// A packer collects units and emits groups of them. It holds no more of them
// than one cut needs to see.
type packer struct {
	size  window
	text  string
	emit  func([]unit) error
	units []unit
	total int // tokens of units, with the gaps between them
}

// push adds a unit and emits a group if it is known by then where to cut.
func (p *packer) push(u unit) error {
	if len(p.units) == 0 {
		u.gap = 0
	}
	p.units = append(p.units, u)
	p.total += u.gap + u.tokens
	for p.total >= p.size.limit+p.size.least && len(p.units) > 1 {
		if err := p.cut(); err != nil {
			return err
		}
	}
	return nil
}

// flush emits what is left.
func (p *packer) flush() error {
	for p.total > p.size.limit && len(p.units) > 1 {
		if err := p.cut(); err != nil {
			return err
		}
	}
	if len(p.units) == 0 {
		return nil
	}
	return p.emit(p.units)
}

// cut emits the first group of units.
func (p *packer) cut() error {
	n := p.best()
	group := p.units[:n:n]
	if err := p.emit(group); err != nil {
		return err
	}
	for _, u := range group {
		p.total -= u.gap + u.tokens
	}
	p.units = append(p.units[:0], p.units[n:]...)
	p.total -= p.units[0].gap
	p.units[0].gap = 0
	return nil
}

// best returns how many units to emit: up to the best boundary in the window
// that leaves enough for another chunk, or the best in the window at all, or
// as many as fit.
func (p *packer) best() int {
	most := p.size.most
	if rest := p.total - p.size.least; rest < most && rest >= p.size.least {
		most = rest
	}
	if n := p.bestWithin(p.size.least, most); n > 0 {
		return n
	}
	if n := p.bestWithin(p.size.least, p.size.limit); n > 0 {
		return n
	}
	if n := p.bestWithin(1, p.size.limit); n > 0 {
		return n
	}
	return 1
}

// bestWithin returns the number of units before the best boundary between
// least and most tokens, 0 if there is none: the one of the lowest level, and
// of several the one whose surroundings have the smallest hash.
func (p *packer) bestWithin(least, most int) int {
	best, bestLevel, bestHash := 0, levelRune+1, uint64(0)
	tokens := 0
	for i, u := range p.units {
		if i > 0 && tokens >= least && tokens <= most && u.before <= bestLevel {
			hash := surroundings(p.text, p.units[i-1].end, u.start)
			if u.before < bestLevel || hash < bestHash {
				best, bestLevel, bestHash = i, u.before, hash
			}
		}
		if tokens += u.gap + u.tokens; tokens > most {
			break
		}
	}
	return best
}

// surroundings hashes the text on both sides of a boundary (FNV-1a, mixed).
func surroundings(text string, end, start int) uint64 {
	const reach = 48
	h := uint64(14695981039346656037)
	for _, c := range []byte(text[max(0, end-reach):end]) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ 0xff) * 1099511628211
	for _, c := range []byte(text[start:min(len(text), start+reach)]) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// halves divides units that turned out too long together; a single unit is
// divided in the middle. It reports false if there is nothing to divide.
func halves(text string, units []unit) (first, second []unit, ok bool) {
	if n := len(units) / 2; n > 0 {
		return units[:n:n], units[n:], true
	}
	u, v := units[0], units[0]
	middle := runeStart(text, (u.start+u.end)/2)
	_, u.end = trim(text, u.start, middle)
	v.start, _ = trim(text, middle, v.end)
	if u.start >= u.end || v.start >= v.end {
		return nil, nil, false
	}
	return []unit{u}, []unit{v}, true
}
