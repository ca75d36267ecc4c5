package fetch

import (
	"context"
	"errors"

	"dfetch/recipe"
	"dfetch/tree"
)

// reserve makes sure that the destination has room before the first byte is written. The whole
// recipe's data is an upper bound; only where that does not fit is the tree surveyed for what is
// right already, or staged.
func (t *transfer) reserve(ctx context.Context, nodes recipe.Nodes) error {
	err := t.tree.Reserve(int64(t.root.Counts.DataBytes))
	if !errors.Is(err, tree.ErrNoSpace) {
		return err
	}
	staged := int64(0)
	need, err := t.survey(ctx, nodes, func(it recipe.Item, data int64) { staged += t.tree.StagedRoom(it.Number, data) })
	if err != nil {
		return err
	}
	return t.tree.Reserve(max(0, need.MissingData-staged))
}

// Plan is what a transfer would do.
type Plan struct {
	Recipe        string `json:"recipe"`
	Dest          string `json:"dest"`          // where it lands
	Files         uint64 `json:"files"`         // regular files of the recipe
	Bytes         uint64 `json:"bytes"`         // their sizes
	MissingFiles  uint64 `json:"missing_files"` // not right by size and time
	MissingBytes  uint64 `json:"missing_bytes"` // their sizes
	MissingData   int64  `json:"missing_data"`  // of that, data: what has to be brought and stored; holes take no room
	MissingChunks uint64 `json:"missing_chunks"`

	// Sources is what each is expected to bring, by the names of Report.Sources. What the destination has takes
	// no time.
	Sources map[string]Expectation `json:"sources"`
	Rate    float64                `json:"rate,omitempty"`   // bytes a second that the senders were measured at
	Search  *SearchPlan            `json:"search,omitempty"` // nil if this machine is not searched

	Deletes     []string `json:"deletes,omitempty"` // what Config.Delete would remove: the first 1000
	DeleteCount uint64   `json:"delete_count,omitempty"`

	Explained   []Explanation `json:"explained,omitempty"`   // as in Report, as far as the search was rehearsed
	Unexplained uint64        `json:"unexplained,omitempty"` // as in Report
}

// maxDeletes bounds the deletes that a plan names.
const maxDeletes = 1000

// survey compares the recipe with the destination by size and time, and changes nothing. missing is told of each file that is not
// right, and of how much data it has.
func (t *transfer) survey(ctx context.Context, nodes recipe.Nodes, missing func(it recipe.Item, data int64)) (*Plan, error) {
	dest, err := t.destination()
	if err != nil {
		return nil, err
	}
	s, err := tree.NewSurvey(dest, &t.root.Top)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p := &Plan{Dest: dest, Recipe: recipe.FormatID(t.root.Hash, t.cfg.Recipe)}
	err = t.walkListed(ctx, nodes, func(it recipe.Item) error {
		if it.Entry.Type != recipe.TypeFile {
			return nil
		}
		before := p.MissingData
		if p.add(it.Entry, s.Right(it)); p.MissingData > before {
			missing(it, p.MissingData-before)
		}
		return nil
	})
	p.MissingData = min(p.MissingData, int64(t.root.Counts.DataBytes))
	p.Sources = map[string]Expectation{"dest": {Bytes: p.Bytes - p.MissingBytes}}
	return p, err
}

func (p *Plan) add(e *recipe.Entry, right bool) {
	p.Files++
	p.Bytes += uint64(e.Size)
	if right {
		return
	}
	p.MissingFiles++
	p.MissingBytes += uint64(e.Size)
	data, chunks := int64(len(e.Inline)), uint64(0)
	for _, r := range e.Content.Refs {
		chunks += r.Chunks
		if !r.Hole {
			data += r.Bytes // holes below an upper list count as data: it is not read for this
		}
	}
	p.MissingData += data
	p.MissingChunks += chunks
}

// DryRun says what Run would do. Nothing is changed at the destination. Some content comes over the network
// to measure its rate, and this machine is searched for some seconds; what that brings is thrown away. The error may say of entries
// that they can't be had; the plan is of the others then.
func DryRun(ctx context.Context, cfg Config) (*Plan, error) {
	search := cfg.Search
	cfg.Search.Off = true // while the senders are measured
	t := newTransfer(cfg)
	defer t.intake.Close()
	var plan *Plan
	err := t.withNodes(ctx, func(ctx context.Context, feed *nodeFeed) error {
		var err error
		if plan, err = t.survey(ctx, feed, func(recipe.Item, int64) {}); err != nil {
			return err
		}
		if err := t.planDeletes(ctx, feed, plan); err != nil {
			return err
		}
		return t.rehearse(ctx, feed, search, plan)
	})
	if err != nil {
		return nil, err
	}
	return plan, t.lostError()
}

// planDeletes lists what Config.Delete would remove.
func (t *transfer) planDeletes(ctx context.Context, nodes recipe.Nodes, p *Plan) error {
	if !t.cfg.Delete || t.root.Top.Type != recipe.TypeDir {
		return nil
	}
	walk := func(fn func(recipe.Item) error) error { return t.walk(ctx, nodes, fn) }
	return tree.Extras(p.Dest, walk, t.cfg.Select.protects, func(path string) {
		if p.DeleteCount++; len(p.Deletes) < maxDeletes {
			p.Deletes = append(p.Deletes, path)
		}
	})
}

// WithRecipe connects and calls do with the recipe's root and nodes, which it fetches as they are
// asked for. Config needs Recipe, Endpoints or Local, and may have CacheDir, StallTimeout and Log.
func WithRecipe(ctx context.Context, cfg Config, do func(context.Context, *recipe.Root, recipe.Nodes) error) error {
	t := newTransfer(cfg)
	defer t.intake.Close()
	return t.withNodes(ctx, func(ctx context.Context, feed *nodeFeed) error {
		return do(ctx, t.whole, feed)
	})
}
