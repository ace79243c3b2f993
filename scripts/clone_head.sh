# To be sourced: goes into a fresh clone of HEAD, which is removed at the end of the script.
# Sets root, the repository, and work, the temporary folder that holds the clone.
root=$(git rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$root" "$work/clone"
cd "$work/clone"
export PYTHONPATH=$PWD/src # the code of HEAD, not of the working tree
if [ -d "$root/data/external" ]; then # datasets and weights that the user placed
  mkdir -p data
  ln -s "$root/data/external" data/external
fi
