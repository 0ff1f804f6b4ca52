# "make" prints this help; the steps themselves stand in scripts/check.
.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.PHONY: demo
demo: ## Start everything, index examples/company-docs, answer a question, end
	go run ./cmd/tributary up --ask "How long before departure must I notify the airline of my pet?" examples/company-docs

.PHONY: build
build: ## Build bin/tributary
	go build -trimpath -o bin/tributary ./cmd/tributary

.PHONY: install
install: ## Install tributary where "go install" puts programs
	go install -trimpath ./cmd/tributary

.PHONY: check
check: ## Run every check: exactly what CI runs
	@bash scripts/check

.PHONY: test
test: ## Run all tests with the race detector (gets Weaviate first)
	@bash scripts/check test

.PHONY: fmt vet lint vuln mod fuzz bench docs
fmt: ## Format the code
	gofmt -w .
vet: ## Run go vet
	@bash scripts/check vet
lint: ## Run golangci-lint
	@bash scripts/check lint
vuln: ## Look for known vulnerabilities
	@bash scripts/check vuln
mod: ## Check go.mod and go.sum
	@bash scripts/check mod
fuzz: ## Run every fuzz target for some seconds
	@bash scripts/check fuzz
bench: ## Run every benchmark once
	@bash scripts/check bench
docs: ## Run the examples of the documentation
	@bash scripts/check docs

.PHONY: clean
clean: ## Remove what was built here
	rm -rf bin
