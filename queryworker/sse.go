package queryworker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// completion is one event of a streamed chat completion, or a whole one that
// was not streamed.
type completion struct {
	Choices []struct {
		Index        int     `json:"index"`
		Delta        content `json:"delta"`
		Message      content `json:"message"`
		FinishReason string  `json:"finish_reason"`
	} `json:"choices"`
	Error json.RawMessage `json:"error"`
}

type content struct {
	Content string `json:"content"`
}

// stream reads what a chat endpoint answers.
type stream struct {
	host  string
	hide  string // a key that no error shows
	emit  func(delta string) error
	wrote int // bytes emitted
	done  bool
}

// events reads server-sent events to the one that ends the answer. A stream
// that ends before is an error: half an answer is none.
func (s *stream) events(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxAnswerBytes)
	for !s.done && lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok { // a comment that keeps the line open, another field, the end of an event
			continue
		}
		data = bytes.TrimSpace(data)
		if len(data) == 0 {
			continue
		}
		if bytes.Equal(data, []byte("[DONE]")) {
			return nil
		}
		if err := s.event(data); err != nil {
			return err
		}
	}
	err := lines.Err()
	switch {
	case s.done:
		return nil
	case errors.Is(err, bufio.ErrTooLong):
		return unavailable("%s: a line of its stream is longer than %d bytes", s.host, maxAnswerBytes)
	case err != nil:
		return unavailable("%s: its stream broke off: %w", s.host, err)
	}
	return unavailable("%s: its stream ended before the answer did (no finish_reason, no [DONE])", s.host)
}

// whole reads the answer of a server that does not stream.
func (s *stream) whole(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, 4*maxAnswerBytes))
	if err != nil {
		return unavailable("%s: its answer broke off: %w", s.host, err)
	}
	if err := s.event(data); err != nil {
		return err
	}
	if !s.done {
		return unavailable("%s: its answer has no finish_reason", s.host)
	}
	return nil
}

func (s *stream) event(data []byte) error {
	var c completion
	if err := json.Unmarshal(data, &c); err != nil {
		return unavailable("%s does not speak the chat protocol (generator.base_url): %w", s.host, err)
	}
	if len(c.Error) > 0 && !bytes.Equal(c.Error, []byte("null")) {
		return unavailable("%s gave up in the middle: %s", s.host, complaint(data, s.hide))
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 {
			continue
		}
		if err := s.write(choice.Delta.Content + choice.Message.Content); err != nil {
			return err
		}
		if err := s.finish(choice.FinishReason); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) write(delta string) error {
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

func (s *stream) finish(reason string) error {
	switch reason {
	case "":
		return nil
	case "length":
		if err := s.write(" ..."); err != nil {
			return err
		}
	case "content_filter":
		return unavailable("%s: its content filter stopped the answer", s.host)
	}
	s.done = true
	return nil
}
