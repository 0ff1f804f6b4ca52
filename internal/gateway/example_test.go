package gateway_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tributary-kb/tributary/internal/gateway"
)

func ExampleNewHandler() {
	handler, err := gateway.NewHandler(gateway.Config{
		KB: "default", MaxBytes: 1 << 20, Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
		Token: func() (string, error) { return "", nil },
		For:   func(string) gateway.System { return &system{} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "http://localhost/v1/kbs/default/search", strings.NewReader(`{"query": "colour"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	fmt.Println(w.Code, strings.Contains(string(body), `"text":"about colour"`))
	// Output: 200 true
}
