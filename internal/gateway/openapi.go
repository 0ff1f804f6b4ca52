package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/tributary-kb/tributary"
)

// openAPI describes routes, with the schemas of the very types that they read
// and write: https://spec.openapis.org/oas/v3.1.0.
func openAPI(version string, routes []route) ([]byte, error) {
	paths, schemas := map[string]map[string]any{}, map[string]any{}
	for _, r := range routes {
		operation, err := r.describe(schemas)
		if err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", r.method, r.path, err)
		}
		path := strings.ReplaceAll(r.path, "...}", "}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = operation
	}
	return json.MarshalIndent(map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "Tributary", "version": version, "license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"security": []any{map[string]any{"token": []any{}}, map[string]any{}},
		"paths":    paths,
		"components": map[string]any{"schemas": schemas, "securitySchemes": map[string]any{
			"token": map[string]any{"type": "http", "scheme": "bearer", "description": "gateway.token_file of the server; none is asked for where it is not set"},
		}},
	}, "", "  ")
}

var pathParameter = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

func (r route) describe(schemas map[string]any) (map[string]any, error) {
	parameters := []any{}
	for _, m := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, p := range r.query {
		parameters = append(parameters, map[string]any{"name": p.name, "in": "query", "description": p.about, "required": p.required, "schema": map[string]any{"type": "string"}})
	}
	failure, err := jsonBody(schemas, problem{})
	if err != nil {
		return nil, err
	}
	success, err := jsonBody(schemas, r.out)
	if err != nil {
		return nil, err
	}
	if r.streams {
		success["text/event-stream"] = map[string]any{"schema": map[string]any{"type": "string"}}
	}
	operation := map[string]any{
		"summary": r.summary, "parameters": parameters,
		"responses": map[string]any{
			strconv.Itoa(r.status): map[string]any{"description": http.StatusText(r.status), "content": success},
			"default":              map[string]any{"description": "an error", "content": failure},
		},
	}
	switch r.in.(type) {
	case nil:
	case content:
		operation["requestBody"] = map[string]any{"required": true, "content": map[string]any{"*/*": map[string]any{}}}
	default:
		body, err := jsonBody(schemas, r.in)
		if err != nil {
			return nil, err
		}
		operation["requestBody"] = map[string]any{"required": true, "content": body}
	}
	return operation, nil
}

// jsonBody refers to the schema of a value's type, and adds it if it is new.
func jsonBody(schemas map[string]any, value any) (map[string]any, error) {
	t := reflect.TypeOf(value)
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if schemas[name] == nil {
		schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
			reflect.TypeFor[chatContent]():      {Type: "string"},
			reflect.TypeFor[tributary.Vector](): {Type: "string"},
		}})
		if err != nil {
			return nil, err
		}
		schemas[name] = schema
	}
	return map[string]any{"application/json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/" + name}}}, nil
}
