package costmodel

// What a fine list costs: its entries are 10 bytes for about 1 KiB of the chunk, its blocks 2 for 128, and a header.
const (
	fineShare  = 10.0/1024 + 2.0/128
	fineHeader = 16
	zoomGain   = 0.95 // a gain that is smaller than the error of the estimate is none
)

// FineBytes is about how many bytes the fine lists of so many chunks take on the wire.
func FineBytes(chunks, bytes int64) int64 {
	return fineHeader*chunks + int64(fineShare*float64(bytes))
}

// Zoom is missing chunks that may be looked at more closely, as a batch: their fine lists are asked
// for, compared with bytes of this machine that are thought to resemble the chunks, and only what is missing
// comes over the network.
type Zoom struct {
	Chunks int64
	Bytes  int64   // of the chunks
	Share  float64 // of them that is expected to be missing all the same
	Rate   float64 // the network's bytes a second
	Wait   float64 // seconds in which the network has nothing to do but wait for the fine lists
	Cut    float64 // seconds a byte to read, cut and hash, here or at the sender
}

// Pays says whether the chunks are complete earlier that way than if they are fetched whole.
func (z Zoom) Pays() bool {
	whole := float64(z.Bytes) / z.Rate
	fine := (float64(FineBytes(z.Chunks, z.Bytes)) + z.Share*float64(z.Bytes)) / z.Rate
	return z.Wait+fine+2*z.Cut*float64(z.Bytes) < zoomGain*whole
}
