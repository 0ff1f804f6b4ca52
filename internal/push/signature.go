package push

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Headers in which a request proves who sends it.
const (
	headerStandard = "Webhook-Signature"   // Standard Webhooks
	headerGitHub   = "X-Hub-Signature-256" // GitHub
	headerBearer   = "Authorization"
)

const (
	headerID       = standardwebhooks.HeaderWebhookID
	headerDelivery = "X-GitHub-Delivery" // GitHub's id of a request, which it does not sign
)

// A proof is the way in which a request shows that its sender knows a secret.
type proof int

const (
	proofNone proof = iota
	proofBearer
	proofStandard
	proofGitHub
)

// proofOf returns the strongest proof that a request offers.
func proofOf(h http.Header) proof {
	switch {
	case h.Get(headerStandard) != "":
		return proofStandard
	case h.Get(headerGitHub) != "":
		return proofGitHub
	case h.Get(headerBearer) != "":
		return proofBearer
	}
	return proofNone
}

// signed reports whether the proof covers the body.
func (p proof) signed() bool { return p == proofStandard || p == proofGitHub }

// id returns what names a request, so that the same again is known; "" if
// nothing does.
func (p proof) id(h http.Header) string {
	if p == proofGitHub {
		return h.Get(headerDelivery)
	}
	return h.Get(headerID)
}

var errUnproven = errors.New("the request is not signed and has no bearer token")

// verify reports why one of the secrets does not prove the request. Its errors
// tell nothing of the secrets.
func (p proof) verify(h http.Header, body []byte, secrets []string) error {
	err := errUnproven
	for _, secret := range secrets {
		switch p {
		case proofBearer:
			err = checkBearer(h, secret)
		case proofStandard:
			err = checkStandard(h, body, secret)
		case proofGitHub:
			err = checkGitHub(h, body, secret)
		case proofNone:
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// checkBearer compares hashes, so that the time it takes tells nothing.
func checkBearer(h http.Header, secret string) error {
	scheme, given, _ := strings.Cut(h.Get(headerBearer), " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(secret))
	if !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return errors.New("the bearer token is not the source's")
	}
	return nil
}

const (
	secretPrefix = "whsec_" // of Standard Webhooks: base64 follows
	minKey       = 16       // bytes
)

// checkStandard checks a signature of Standard Webhooks, whose timestamp may
// be five minutes off.
func checkStandard(h http.Header, body []byte, secret string) error {
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, secretPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return errors.New("the source's secret begins with whsec_ and is no base64")
		}
	}
	if len(key) < minKey {
		return fmt.Errorf("the source's secret has %d bytes, want at least %d", len(key), minKey)
	}
	hook, err := standardwebhooks.NewWebhookRaw(key)
	if err == nil {
		err = hook.Verify(body, h)
	}
	if errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
		return errors.New("the signature is not one with the source's secret")
	}
	return err
}

func checkGitHub(h http.Header, body []byte, secret string) error {
	given, ok := strings.CutPrefix(h.Get(headerGitHub), "sha256=")
	sum, err := hex.DecodeString(given)
	if !ok || err != nil {
		return fmt.Errorf("header %s is not sha256= and a number in hexadecimal", headerGitHub)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return errors.New("the signature is not one with the source's secret")
	}
	return nil
}
