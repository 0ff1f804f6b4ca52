package analysis

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestTerms(t *testing.T) {
	for _, c := range []struct {
		name, text, lang string
		want             string
	}{
		{"nothing", "", "", ""},
		{"punctuation only", "... !? --", "", ""},
		{"words are stemmed and stop words dropped", "The queues were connected to the streams", "", "queue were connect stream"},
		{"a text of stop words keeps them", "To be, or not to be", "", "to be or not to be"},
		{"upper case", "STREAMS Streams streams", "", "stream stream stream"},
		{"an identifier yields the whole and its parts", "max_payload", "", "max_payload max payload"},
		{"dotted names likewise", "JS.API.consumers", "", "js.api.consumers js api consum"},
		{"a full stop ends a word", "It stops. Then", "", "stop"},
		{"leading and double underscores", "__init__ a__b", "", "init a__b b"},
		{"numbers keep their decimals", "3.14 and 1,000 and 2.10.5", "", "3.14 1000 2.10.5"},
		{"codes are not stemmed", "sha256s v2 0x1f", "", "sha256s v2 0x1f"},
		{"a comma between words separates", "a1,b2 x,y", "", "a1 b2 x y"},
		{"possessives and contractions", "the queue's tail, don\u2019t, we've", "", "queue tail don we"},
		{"French elision", "l'index d'abord", "", "index abord"},
		{"an apostrophe at the end", "consumers' acks", "", "consum ack"},
		{"programming languages", "C++ or C# or C", "", "c c++ c c# c"},
		{"diacritics are folded", "café CAFE\u0301 naïve Łódź Straße", "", "cafe cafe naiv lodz strass"},
		{"compatibility forms are normalised", "ﬁle ｗｉｄｅ", "", "file wide"},
		{"Chinese by pairs", "消息系统", "", "消息 息系 系统"},
		{"a single Chinese character", "水 water", "", "水 water"},
		{"Japanese with Latin", "NATSサーバー", "", "nat サー ーバ バー"},
		{"Korean by pairs", "메시징 시스템", "", "메시 시징 시스 스템"},
		{"Thai by pairs", "ไทย", "", "ไท ทย"},
		{"Russian is stemmed by its script", "системами сообщений", "", "систем сообщен"},
		{"Russian yo is written as ye", "распределённых", "", "распределен"},
		{"French in a French knowledge base", "les continuations régulières", "fr", "continu reguli"},
		{"a region is ignored", "connections", "en-GB", "connect"},
		{"a language without stemmer is folded", "Die Häuser der Stadt", "de", "die hauser der stadt"},
		{"Greek sigma and accents", "λόγος", "", "λογοσ"},
		{"invalid UTF-8 separates", "stream\xffs", "", "stream s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Field(c.text, c.lang)
			if got != c.want {
				t.Errorf("Field(%q, %q) = %q, want %q", c.text, c.lang, got, c.want)
			}
		})
	}
}

func TestQueryAndDocumentMeetInEveryLanguageOfTheScript(t *testing.T) {
	for _, c := range []struct{ document, query string }{
		{"Les continuations régulières", "continuation reguliere"},
		{"Die Verbindungen", "verbindungen"},
		{"Streams and Consumers", "consumer stream"},
	} {
		document, query := Terms(c.document, ""), Terms(c.query, "")
		if !slices.ContainsFunc(query, func(q string) bool { return slices.Contains(document, q) }) {
			t.Errorf("%q has none of %q: %q and %q", c.document, c.query, document, query)
		}
	}
}

func TestLongTermsAreCut(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 1000), strings.Repeat("é1", 1000)} {
		got := Terms(text, "")
		if len(got) != 1 || len(got[0]) > MaxTermBytes || len(got[0]) < MaxTermBytes-3 {
			t.Errorf("Terms of %d bytes = %d terms, the first of %d bytes", len(text), len(got), len(got[0]))
		}
	}
	long := strings.Repeat("part_", 100) + "end"
	if got := Terms(long, ""); got[0] != "part" || len(got) != 101 {
		t.Errorf("a compound that is too long begins with %q and has %d terms, want its parts only", got[0], len(got))
	}
}

func TestTermsAreTheSameFromTheCache(t *testing.T) {
	text := "Durable consumers keep their position; l'été, système, 42"
	first := Terms(text, "")
	if again := Terms(text, ""); !reflect.DeepEqual(first, again) {
		t.Errorf("second call: %q, first: %q", again, first)
	}
}

func FuzzTerms(f *testing.F) {
	for _, s := range []string{"", "Hello, world", "max_payload JS.API", "消息系统", "l'été don't", "\xff\xfe", "ﷺ", "İstanbul", "a\u0301\u0302", "C++ 3.14 1,000", "ŉ ǰ ΐ", "'s 's"} {
		f.Add(s, "")
		f.Add(s, "fr")
		f.Add(s, "hu")
	}
	f.Fuzz(func(t *testing.T, text, lang string) {
		terms := Terms(text, lang)
		for _, term := range terms {
			switch {
			case term == "":
				t.Errorf("empty term in %q", text)
			case len(term) > MaxTermBytes:
				t.Errorf("term of %d bytes", len(term))
			case strings.ContainsFunc(term, unicode.IsSpace):
				t.Errorf("white space in term %q", term)
			case !utf8.ValidString(term):
				t.Errorf("term %q is not UTF-8", term)
			case !norm.NFKC.IsNormalString(term):
				t.Errorf("term %q is not normalised", term)
			}
		}
		if again := Terms(text, lang); !reflect.DeepEqual(terms, again) {
			t.Errorf("second call: %q, first: %q", again, terms)
		}
		if got := strings.Fields(Field(text, lang)); len(got) != len(terms) {
			t.Errorf("the field has %d tokens, the text %d terms", len(got), len(terms))
		}
	})
}

func TestCountTokens(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"", 0},
		{" ", 0},
		{"stream", 1},
		{"The quick brown fox jumps over the lazy dog.", 10},
		{"internationalisation", 3},
		{"1234567", 3},
		{"消息", 2},
		{"----------------", 4},
	} {
		if got := CountTokens(c.text); got != c.want {
			t.Errorf("CountTokens(%q) = %d, want %d", c.text, got, c.want)
		}
	}
}

func FuzzCountTokens(f *testing.F) {
	f.Add("Hello, 世界!\n\n  \U0001F600")
	f.Fuzz(func(t *testing.T, text string) {
		got := CountTokens(text)
		if got < 0 || got > 2*len(text) {
			t.Errorf("CountTokens(%q) = %d for %d bytes", text, got, len(text))
		}
		if got == 0 && strings.TrimSpace(text) != "" && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("CountTokens(%q) = 0", text)
		}
	})
}

var passage = strings.Repeat("A durable consumer keeps its position in the stream when the client disconnects; "+
	"max_ack_pending bounds the messages that may be outstanding, see JS.API.CONSUMER.INFO. ", 20)

func BenchmarkTerms(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"english", passage},
		{"accented", strings.ReplaceAll(passage, "e", "é")},
		{"chinese", strings.Repeat("持久消费者在客户端断开连接时保持其在流中的位置。", 50)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				Terms(c.text, "")
			}
		})
	}
}

func BenchmarkCountTokens(b *testing.B) {
	b.SetBytes(int64(len(passage)))
	for b.Loop() {
		CountTokens(passage)
	}
}
