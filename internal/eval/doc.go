// Package eval measures rankings. In: the documents that a search returned, in
// order, and what people judged relevant. Out: nDCG, recall, reciprocal rank
// and average precision, with bootstrap intervals. It knows no search engine;
// collections are read in the layout of BEIR.
package eval
