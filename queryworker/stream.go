package queryworker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tributary-kb/tributary"
)

// stream is one reply of a model while it comes.
type stream struct {
	host     string
	hide     string // a key that no error shows
	chat     *Chat
	messages []message // what was asked
	body     io.Reader
	emit     func(delta string) error
	wrote    int  // bytes emitted
	done     bool // the model said that it is finished
	ended    bool // nothing that follows matters
	usage    tributary.Usage
	thoughts thoughts
}

// events calls event with the data of each server-sent event, until one ends
// the stream. A stream that ends before the answer does is an error: half an
// answer is none.
func (s *stream) events(event func(data []byte) error) error {
	return s.lines(func(line []byte) error {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok { // a comment that keeps the line open, another field, the end of an event
			return nil
		}
		return event(bytes.TrimSpace(data))
	})
}

// lines calls each with the lines of the body that are not empty.
func (s *stream) lines(each func(line []byte) error) error {
	lines := bufio.NewScanner(s.body)
	lines.Buffer(make([]byte, 0, 4096), maxAnswerBytes)
	for !s.ended && lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
	}
	err := lines.Err()
	switch {
	case s.done: // what broke off behind the answer is no loss
		return nil
	case errors.Is(err, bufio.ErrTooLong):
		return unavailable("%s: a line of its stream is longer than %d bytes", s.host, maxAnswerBytes)
	case err != nil:
		return unavailable("%s: its stream broke off: %w", s.host, err)
	}
	return unavailable("%s: its stream ended before the answer did", s.host)
}

// all calls event with the whole body, of a server that does not stream.
func (s *stream) all(event func(data []byte) error) error {
	data, err := io.ReadAll(io.LimitReader(s.body, 4*maxAnswerBytes))
	if err != nil {
		return unavailable("%s: its answer broke off: %w", s.host, err)
	}
	if err := event(data); err != nil {
		return err
	}
	if !s.done {
		return unavailable("%s: its answer does not say that it is finished", s.host)
	}
	return nil
}

// strange is an event that is not of the provider's form.
func (s *stream) strange(err error) error {
	return unavailable("%s does not speak the protocol of %s (generator.provider, generator.base_url): %w", s.host, s.chat.provider(), err)
}

// gaveUp is an error that the server put into its stream.
func (s *stream) gaveUp(data []byte) error {
	return unavailable("%s gave up in the middle: %s", s.host, complaint(data, s.hide))
}

// write emits what of delta is no thought.
func (s *stream) write(delta string) error {
	if delta = s.thoughts.without(delta); s.thoughts.size > maxThoughtBytes {
		return unavailable("%s: the model thinks for more than %d bytes", s.host, maxThoughtBytes)
	}
	return s.pass(delta)
}

func (s *stream) pass(delta string) error {
	if delta == "" {
		return nil
	}
	if s.wrote += len(delta); s.wrote > maxAnswerBytes {
		return unavailable("%s: the answer is longer than %d bytes", s.host, maxAnswerBytes)
	}
	if err := s.emit(delta); err != nil {
		return fmt.Errorf("pass on the answer: %w", err)
	}
	return nil
}

// cut marks an answer that the length limit ended.
func (s *stream) cut() error { return s.write(" ...") }
