#!/bin/sh
# dolma's Bloom filter over the gzipped JSONL files of FOLDER/documents, in one process: DOLMA FOLDER documents|paragraphs
set -e
rm -rf "$2/attributes" "$2/bloom"
case $3 in
    documents) set -- "$1" "$2" --dedupe.documents.key '$.text' --dedupe.documents.attribute_name repeated ;;
    *) set -- "$1" "$2" --dedupe.paragraphs.attribute_name repeated ;;
esac
dolma=$1 folder=$2
shift 2
exec "$dolma" dedupe --documents "$folder/documents/*.gz" --dedupe.name "repeated" --dedupe.skip_empty "$@" --processes 1 \
    --bloom_filter.file "$folder/bloom" --no-bloom_filter.read_only \
    --bloom_filter.estimated_doc_count 10000000 --bloom_filter.desired_false_positive_rate 0.000001
