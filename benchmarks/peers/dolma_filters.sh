#!/bin/sh
# dolma's Gopher and C4 taggers over the gzipped JSONL files of FOLDER/documents, in one process: DOLMA FOLDER
set -e
rm -rf "$2/attributes"
exec "$1" tag --documents "$2/documents/*.gz" --experiment rules --taggers gopher_v2 c4_v2 --processes 1
