package broker

// Partition returns the partition of a key among n, as the default partitioner of the Java clients does (murmur2), so
// that records of one key meet in one partition whatever wrote them. n must be positive.
func Partition(key []byte, n int) int {
	return int(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the hash of Kafka's clients: murmur 2 of 32 bits, little-endian, with the seed of Utils.murmur2.
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		mix  = 0x5bd1e995
	)
	h := uint32(seed) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= mix
		k ^= k >> 24
		h = h*mix ^ k*mix
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
		if i == 0 {
			h *= mix
		}
	}
	h ^= h >> 13
	h *= mix
	return h ^ h>>15
}
