package fetch

import (
	"context"
	"errors"

	"dfetch/recipe"
	"dfetch/tree"
)

// reserve makes sure that the destination has room before the first byte is written. The whole
// recipe's data is an upper bound; only where that does not fit is the tree surveyed for what is
// right already.
func (t *transfer) reserve(ctx context.Context, nodes recipe.Nodes) error {
	err := t.tree.Reserve(int64(t.root.Counts.DataBytes))
	if !errors.Is(err, tree.ErrNoSpace) {
		return err
	}
	need, err := t.survey(ctx, nodes)
	if err != nil {
		return err
	}
	return t.tree.Reserve(need.MissingData)
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
}

// survey compares the recipe with the destination by size and time, and changes nothing.
func (t *transfer) survey(ctx context.Context, nodes recipe.Nodes) (*Plan, error) {
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
	err = t.walk(ctx, nodes, func(it recipe.Item) error {
		if it.Entry.Type == recipe.TypeFile {
			p.add(it.Entry, s.Right(it))
		}
		return nil
	})
	p.MissingData = min(p.MissingData, int64(t.root.Counts.DataBytes))
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

// DryRun says what Run would do. Nothing is changed at the destination.
func DryRun(ctx context.Context, cfg Config) (*Plan, error) {
	t := newTransfer(cfg)
	defer t.intake.Close()
	var plan *Plan
	err := t.withNodes(ctx, func(ctx context.Context, feed *nodeFeed) error {
		var err error
		plan, err = t.survey(ctx, feed)
		return err
	})
	return plan, err
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
