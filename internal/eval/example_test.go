package eval_test

import (
	"fmt"

	"github.com/tributary-kb/tributary/internal/eval"
)

func Example() {
	relevant := eval.Judgements{"install.md": 1, "upgrade.md": 1}
	ranked := []string{"faq.md", "install.md", "upgrade.md"}
	fmt.Printf("nDCG@10 %.3f, recall@2 %.1f, MRR %.1f\n",
		eval.NDCG(ranked, relevant, 10), eval.Recall(ranked, relevant, 2), eval.ReciprocalRank(ranked, relevant, 10))
	// Output: nDCG@10 0.693, recall@2 0.5, MRR 0.5
}
