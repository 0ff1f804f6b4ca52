package ingest

import "context"

// parsePlain takes text as it is; its blocks are paragraphs.
func parsePlain(_ context.Context, _ *Config, in Input) (Parsed, error) {
	text := cleanText(decode(in.Content, in.ContentType, false))
	return Parsed{Text: text, Blocks: splitParagraphs(text)}, nil
}
