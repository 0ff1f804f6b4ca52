package budget

import (
	"slices"
	"time"

	"github.com/tributary-kb/tributary/embedder"
)

const (
	// slotLength is the life of a grant. What is granted in a slot is used in
	// it or lost.
	slotLength = 5 * time.Second
	// window is how many slots any minute touches at most, and one for the way
	// of a request to the provider.
	window = int(time.Minute/slotLength) + 2
	// grants is into how many pieces a slot is cut: so many writes at most
	// share it out, and a worker that dies loses one piece at most.
	grants = 8
)

// Limits are what all workers together may do. Zero is no limit.
type Limits struct {
	Requests int     // per minute
	Tokens   int     // per minute
	Price    float64 // of a million tokens, in any currency; 0 counts no costs
	Cap      float64 // of the cost of one day in UTC, in the same currency
}

// charged reports whether what is granted has to be written down.
func (l Limits) charged() bool { return l.Requests > 0 || l.Tokens > 0 || l.Price > 0 }

func (l Limits) cost(tokens int) float64 { return float64(tokens) / 1e6 * l.Price }

// An account is what all workers know of one model of one provider; it is
// stored as JSON.
type account struct {
	Model string    `json:"model"` // for the reader
	Slots []use     `json:"slots,omitempty"`
	Until time.Time `json:"until,omitzero"` // the provider is left alone before
	Day   string    `json:"day,omitempty"`  // in UTC, of Spent
	Spent float64   `json:"spent,omitempty"`
	Held  bool      `json:"held,omitempty"` // work waits because of the cap
}

// A use is what was granted in one slot.
type use struct {
	Slot     int64 `json:"slot"` // slotLengths since 1970
	Requests int   `json:"requests"`
	Tokens   int   `json:"tokens"`
}

func slotOf(now time.Time) int64 { return now.UnixNano() / int64(slotLength) }

// nextSlot returns how long it is until the slot after now begins.
func nextSlot(now time.Time) time.Duration {
	return slotLength - time.Duration(now.UnixNano()%int64(slotLength))
}

// nextDay returns when the day of now ends, in UTC.
func nextDay(now time.Time) time.Time {
	return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
}

// age forgets what no longer counts and begins the slot of now. Clocks of
// workers may differ: what a faster one wrote counts for all, but for one that
// is wrong by more than a minute.
func (a *account) age(now time.Time) *use {
	slot := slotOf(now)
	a.Slots = slices.DeleteFunc(a.Slots, func(u use) bool { return u.Slot <= slot-int64(window) || u.Slot > slot+int64(window) })
	if day := now.UTC().Format(time.DateOnly); day > a.Day {
		a.Day, a.Spent, a.Held = day, 0, false
	}
	i := slices.IndexFunc(a.Slots, func(u use) bool { return u.Slot == slot })
	if i < 0 {
		a.Slots = append(a.Slots, use{Slot: slot})
		i = len(a.Slots) - 1
	}
	return &a.Slots[i]
}

// grant takes need from the account, and some more of it that comes next if
// there is enough. It returns nothing if need has to wait for the next slot,
// and a *embedder.SpendError if there is not enough money.
//
// Each slot gives an equal part of a minute's limit, so no minute gets more
// than the limit, wherever it begins. A need that is larger than the part
// takes a slot that nobody has used, if the last minute leaves room for it.
func (a *account) grant(now time.Time, l Limits, need use) (use, error) {
	current := a.age(now)
	all := use{}
	for _, u := range a.Slots {
		all.Requests, all.Tokens = all.Requests+u.Requests, all.Tokens+u.Tokens
	}
	got := use{
		Slot:     current.Slot,
		Requests: piece(need.Requests, l.Requests, current.Requests, all.Requests),
		Tokens:   piece(need.Tokens, l.Tokens, current.Tokens, all.Tokens),
	}
	if got.Requests < need.Requests || got.Tokens < need.Tokens {
		return use{}, nil
	}
	if l.Cap > 0 {
		if a.Spent+l.cost(need.Tokens) > l.Cap {
			a.Held = true
			return use{}, &embedder.SpendError{Spent: a.Spent, Cap: l.Cap, Resumes: nextDay(now)}
		}
		got.Tokens = max(need.Tokens, min(got.Tokens, int((l.Cap-a.Spent)/l.Price*1e6)))
	}
	a.Held = false
	current.Requests += got.Requests
	current.Tokens += got.Tokens
	a.Spent += l.cost(got.Tokens)
	return got, nil
}

// piece returns how much of a limit to grant to a need: at least the need, or
// 0 if it has to wait.
func piece(need, limit, inSlot, inWindow int) int {
	if need == 0 {
		return 0
	}
	if limit == 0 {
		return grants * need
	}
	part := limit / window
	fits := min(part-inSlot, limit-inWindow)
	if need <= fits {
		return max(need, min(fits, part/grants))
	}
	if inSlot == 0 && need <= limit-inWindow {
		return need
	}
	return 0
}

// correct adds tokens that were used beyond what was granted, or takes off
// those that were not used. Only the first counts for the pace: what another
// minute granted cannot be used in this one.
func (a *account) correct(now time.Time, l Limits, over, owed int) {
	current := a.age(now)
	current.Tokens += over
	a.Spent = max(a.Spent+l.cost(owed), 0)
}
