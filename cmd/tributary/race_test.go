//go:build race

package main

// raceDetector says whether this binary has the race detector.
const raceDetector = true
