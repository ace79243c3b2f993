"""Datasets of retrieval and of fine-grained objects: where they come from."""

from patchlens.datasets.source import Archive, Source

SOURCES = (
    Source(
        kind="fair1m",
        title="FAIR1M 2.0",
        access="account",
        licence="not stated",
        citation="Sun et al., FAIR1M: A Benchmark Dataset for Fine-grained Object Recognition in "
        "High-Resolution Remote Sensing Imagery, ISPRS Journal 2022",
        homepage="https://www.gaofen-challenge.com/benchmark",
        how="Register at www.gaofen-challenge.com/benchmark, download FAIR1M 2.0 and keep its "
        "folders: train/part1/images.zip, train/part1/labelXml.zip, ... (unpacked: train/"
        "part1/images, ...)",
        archives=(
            Archive(
                "https://drive.google.com/file/d/1LWT_ybL-s88Lzg9A9wHpj0h2rJHrqrVf",
                md5="a460fe6b1b5b276bf856ce9ac72d6568",
                into="train/part1",
                name="train/part1/images.zip",
            ),
            Archive(
                "https://drive.google.com/file/d/1CnOuS8oX6T9JMqQnfFsbmf7U38G6Vc8u",
                md5="80f833ff355f91445c92a0c0c1fa7414",
                into="train/part1",
                name="train/part1/labelXml.zip",
            ),
            Archive(
                "https://drive.google.com/file/d/1cx4MRfpmh68SnGAYetNlDy68w0NgKucJ",
                md5="ad237e61dba304fcef23cd14aa6c4280",
                into="train/part2",
                name="train/part2/images.zip",
            ),
            Archive(
                "https://drive.google.com/file/d/1RFVjadTHA_bsB7BJwSZoQbiyM7KIDEUI",
                md5="5c5948e68cd0f991a0d73f10956a3b05",
                into="train/part2",
                name="train/part2/labelXmls.zip",
            ),
            Archive(
                "https://drive.google.com/file/d/1lSSHOD02B6_sUmr2b-R1iqhgWRQRw-S9",
                md5="dce782be65405aa381821b5f4d9eac94",
                into="validation",
                name="validation/images.zip",
            ),
            Archive(
                "https://drive.google.com/file/d/1sTTna1C5n3Senpfo-73PdiNilnja1AV4",
                md5="700b516a21edc9eae66ca315b72a09a1",
                into="validation",
                name="validation/labelXmls.zip",
            ),
        ),
    ),
    Source(
        kind="roxford5k",
        title="ROxford5k (Revisited Oxford)",
        access="open",
        licence="not stated",
        citation="Radenović et al., Revisiting Oxford and Paris: Large-Scale Image Retrieval "
        "Benchmarking, CVPR 2018",
        homepage="http://cmp.felk.cvut.cz/revisitop/",
        how="Unpack oxbuild_images-v1.tgz (from https://www.robots.ox.ac.uk/~vgg/data) into jpg/ "
        "and put gnd_roxford5k.pkl (from https://cmp.felk.cvut.cz/revisitop/data/datasets/"
        "roxford5k) beside it",
        archives=(
            Archive(
                "https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/oxbuild_images-v1.tgz",
                into="jpg",
            ),
            Archive("https://cmp.felk.cvut.cz/revisitop/data/datasets/roxford5k/gnd_roxford5k.pkl"),
        ),
    ),
    Source(
        kind="rparis6k",
        title="RParis6k (Revisited Paris)",
        access="open",
        licence="not stated",
        citation="Radenović et al., Revisiting Oxford and Paris: Large-Scale Image Retrieval "
        "Benchmarking, CVPR 2018",
        homepage="http://cmp.felk.cvut.cz/revisitop/",
        how="Unpack paris_1-v1.tgz and paris_2-v1.tgz (from https://www.robots.ox.ac.uk/~vgg/"
        "data) into jpg/ and put gnd_rparis6k.pkl (from https://cmp.felk.cvut.cz/revisitop/"
        "data/datasets/rparis6k) beside it",
        archives=(
            Archive(
                "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/paris_1-v1.tgz", into="jpg"
            ),
            Archive(
                "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/paris_2-v1.tgz", into="jpg"
            ),
            Archive("https://cmp.felk.cvut.cz/revisitop/data/datasets/rparis6k/gnd_rparis6k.pkl"),
        ),
    ),
    Source(
        kind="instre",
        title="INSTRE (INSTance-level object REtrieval)",
        access="placed",
        licence="not stated",
        citation="Wang and Jiang, INSTRE: A New Benchmark for Instance-Level Object Retrieval and "
        "Recognition, ACM TOMM 2015; split: Iscen et al., Efficient Diffusion on Region "
        "Manifolds, CVPR 2017",
        homepage="http://123.57.42.89/instre/home.html",
        how="Download instre.tar.gz (2.3 GB) and gnd_instre.mat from ftp://ftp.irisa.fr/local/"
        "texmex/corpus/instre/ and unpack the archive beside gnd_instre.mat",
    ),
    Source(
        kind="cub200",
        title="Caltech-UCSD Birds-200-2011 (CUB-200-2011)",
        access="open",
        licence="non-commercial research (as third parties state it)",
        citation="Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001, 2011",
        homepage="https://data.caltech.edu/records/65de6-vp158",
        how="Download CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158 and "
        "unpack it",
        archives=(
            Archive(
                "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                md5="97eceeb196236b17998738112f37df78",
            ),
        ),
    ),
    Source(
        kind="grocerystore",
        title="Grocery Store Dataset",
        access="open",
        licence="MIT (the LICENSE of the repository)",
        citation="Klasson et al., A Hierarchical Grocery Store Image Dataset with Visual and "
        "Semantic "
        "Labels, WACV 2019",
        homepage="https://github.com/marcusklasson/GroceryStoreDataset",
        how="Clone https://github.com/marcusklasson/GroceryStoreDataset",
        archives=(
            Archive(
                "https://github.com/marcusklasson/GroceryStoreDataset/archive/"
                "fc80ba90f803d79d0383df52c5a4ac5de99ff6fc.zip"
            ),
        ),
    ),
    Source(
        kind="coil100",
        title="Columbia Object Image Library (COIL-100)",
        access="open",
        licence="not stated (the technical report: available for research purposes)",
        citation="Nene et al., Columbia Object Image Library (COIL-100), CUCS-006-96, 1996",
        homepage="https://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php",
        how="Download coil-100.zip from the homepage and unpack it",
        archives=(
            Archive(
                "https://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-100/"
                "coil-100.zip"
            ),
        ),
    ),
)
