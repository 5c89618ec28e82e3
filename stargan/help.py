"""What ``stargan --help`` and ``stargan TASK --help`` print."""

from __future__ import annotations

from stargan import configs

TASKS = {
    "train": "trains a model; writes a run folder with samples, checkpoints and the generator",
    "translate": "translates images or folders of images with a trained model",
    "evaluate": "says how good a model is: figures per label, pictures, one HTML page",
    "cam": "shows where a judge sees a label, and how well that finds it",
    "export": "writes a trained model as safetensors, ONNX, pt2, hub folder or official weights",
    "import-official": "converts weights of the published code, yunjey/stargan",
    "serve": "shows a page in the browser where anybody can translate a photo",
    "sample": "makes images from noise with a trained model",
    "health": "reads a run, says what is wrong with it, writes a page with its curves",
}

HELP = """\
usage: stargan TASK [key=value ...]

Multi-domain image-to-image translation with StarGAN.

tasks:
{tasks}

first steps:
  stargan train experiment=demo                    embedded faces, minutes on a CPU
  stargan train experiment=celeba data.root=DIR    CelebA, the paper's settings
  stargan translate model=RUN_OR_FILE input=PHOTO to=Blond_Hair,Young=0 output=DIR
  stargan evaluate model=RUN_OR_FILE output=DIR    how good it is, on its own test images
  stargan serve model=RUN_OR_FILE                  a page to try it in the browser

options:
  stargan TASK --help       what the task takes
  stargan TASK --cfg job    the whole configuration that the command would use
  stargan --version
"""

TRAIN_HELP = """\
usage: stargan train experiment=NAME [key=value ...]
       stargan train resume=RUN_DIR [key=value ...]

experiments:
{experiments}

recipes (method=NAME):
{methods}

looking for trouble (debug=NAME):
{debug}

often changed:
  data.root=DIR                  the images (joint: data.celeba.root= and data.rafd.root=)
  labels=[Male,Young]            which labels to learn; default: the data set's own choice
  data.image_size=64             pixels, or [height,width]
  data.batch_size=16             per device
  data.on_error=skip             leave out unreadable images instead of stopping
  network=vggnet_gap             of a classifier: {networks}
  trainer.max_steps=20000        discriminator steps
  trainer.max_epochs=50          passes over the data instead
  trainer.max_minutes=60         stop after an hour of training
  trainer.devices=4              processes or GPUs; the right strategy is chosen
  trainer.precision=bf16-mixed   half the memory on a GPU
  lambda_cls= lambda_rec= lambda_gp= n_critic=     the paper's names
  schedule=paper|official|late|constant            learning rate
  callbacks=evaluate             judge as it trains, keep checkpoints/best.ckpt
  health.action=warn|stop|rollback                 what to do when the monitors find trouble
  checkpoint.every_n_steps=1000  log.every_n_steps=50  log.samples_every_n_steps=500
  seed=1234   run_dir=DIR (default: runs/NAME/TIME)
  conf=DIR                       configuration files of your own, laid out as conf/
  method._target_=mylab.Mine     a class of your own; resume= of such a run needs trust=mylab

The run folder holds config.yaml, metrics.csv, tensorboard/, samples/, checkpoints/last.ckpt,
generator.safetensors and report.md. Ctrl-C saves and stops; resume=RUN_DIR goes on exactly there.

Every key with its default: stargan train experiment=NAME --cfg job
"""

TRANSLATE_HELP = """\
usage: stargan translate model=RUN_OR_FILE input=FILE_OR_FOLDER to=LABELS output=DIR

  model=      a run folder, a checkpoint (.ckpt) or an exported generator.safetensors;
              it knows its image size and its labels
  input=      an image or a folder of images (PNG, JPEG, WebP, BMP, TIFF)
  to=         Blond_Hair,Young=0   labels to set; a value between 0 and 1 is a strength
              all                  every label in turn, the paper's row
  output=     folder for the PNGs and contact_sheet.png
  labels=     labels you know of the input, like Male=1; the others are read off the image
  cam=true    also NAME_cam.png: what changed, and where a judge looks before and after;
              judge=RUN_OR_FILE, a classifier of the labels (embedded faces need none)
  trust=mylab a package whose classes the files may name; its code is run
  batch_size=16   device=auto   contact_sheet=true   on_error=skip|raise

A joint model takes labels of all its data sets and chooses the mask by itself.
"""

EVALUATE_HELP = """\
usage: stargan evaluate model=RUN_OR_FILE output=DIR [judge=RUN_OR_FILE] [key=value ...]

  model=      a run folder, a checkpoint (.ckpt) or an exported generator; several in one table
              (seeds, checkpoints of one run): model=[runs/a,runs/b]
  output=     folder for report.html, report.md, report.json, and parts/ with the measurements, by
              which an interrupted evaluation goes on (the same command again)
  judge=      a classifier of all the model's labels: stargan train experiment=celeba_classifier;
              embedded faces need none, theirs is trained once and kept
  data=NAME   other test images; default: those of the model's run. data.root=DIR: where they are
  inception=FILE   pt_inception-2015-12-05-6726825d.pth for FID, KID and the Inception Score;
              without it they are taken of the judge's features, and every table says so
  lpips=FILE  alexnet-owt-7be5be79.pth for LPIPS; without it the distance of the judge's features
  count=500   only so many test images per data set, evenly over the split
  trust=mylab a package whose classes the files may name; its code is run
  cycle=false no translation back   cases=6 random rows   batch_size=32   device=auto

Every test image is translated to every label that it does not have. A label of an exclusive group
is chosen, a label that stands alone is turned over; expressions are also reported from neutral
alone, as in the paper. Every figure comes with its 95 % interval and the number of images.
"""

EXPORT_HELP = """\
usage: stargan export model=RUN_OR_FILE output=FILE [format=NAME] [precision=NAME] [key=value ...]

  model=      a run folder, a checkpoint (.ckpt), a generator.safetensors or owner/name on the hub
  output=     the file to write; a model card is written beside it
  format=     safetensors   weights and description; opens by itself
              onnx          for onnxruntime, with labels and preprocessing in its metadata
              pt2           a graph of torch.export
              hub           a folder: config.json, model.safetensors, README.md
              official      200000-G.ckpt (and -D.ckpt) for the code of yunjey/stargan
              default: what the ending of output= says
  precision=  fp32          default
              fp16          half the size (onnx: G also computes in half precision)
              int8          onnx only: 8 bits, ranges measured on the images
  images=     a folder of photos to check on; default: drawn faces
  tolerance=  largest difference to the trained model that is accepted, on [-1, 1]
  classifier=false   leave out what reads a photo's own labels: smaller, labels must be given
  trust=mylab a package whose classes the files may name; its code is run
  device=cpu

The file is opened again and compared with the model it was made of; one that differs too much is
not kept. ONNX needs pip install 'stargan[onnx]'.
"""

IMPORT_OFFICIAL_HELP = """\
usage: stargan import-official generator=FILE labels=NAMES output=FILE [key=value ...]

  generator=      200000-G.ckpt of yunjey/stargan
  discriminator=  200000-D.ckpt: lets the model read a photo's own labels; without it they must be
                  given at every translation
  labels=         celeba5          the paper's five attributes
                  rafd8            the eight expressions
                  joint            both, in one model
                  [Male,Young]     attributes, in the order of training
                  classes:[a,b]    the classes of one data set (--dataset RaFD)
                  [[Male],[a,b]]   a joint model: attributes, then classes
  output=         the file to write, such as celeba.safetensors
  image_size=     of the training, where no discriminator tells; default 128
  crop=           the centre crop that training took; default: CelebA's 178 for attributes
"""

SERVE_HELP = """\
usage: stargan serve model=RUN_OR_FILE [key=value ...]

  model=      a run folder, a checkpoint (.ckpt) or an exported file; model=[a,b] to switch
              between several and to compare them
  judge=      a classifier's run folder or file: shows where it sees each label
  examples=   a folder of pictures to start from; default: drawn faces
  trust=mylab a package whose classes the files may name; its code is run
  port=7860   host=127.0.0.1   host=0.0.0.0 lets others in
  root_path=/faces             where a reverse proxy puts the page
  device=auto   batch_size=16
  limits.megabytes=20          of an uploaded file
  limits.megapixels=50         of an uploaded image
  limits.waiting=32            requests in the queue
  limits.parallel=2            requests worked on at once
  limits.visits=256            visitors whose photo is remembered

Photos are forgotten when the page is closed; nothing is fetched from elsewhere. Ctrl-C ends it.
Needs pip install 'stargan[web]'.
"""


SAMPLE_HELP = """\
usage: stargan sample model=RUN_OR_FILE output=DIR [key=value ...]

  model=      a run folder, a checkpoint (.ckpt) or an exported generator.safetensors of a method
              that makes images from noise (method=dcgan)
  output=     folder for sample_00001.png and so on, and sheet.png
  count=64    how many images
  seed=0      of the noise; image i of a seed is the same whatever the count
  interpolate=8   interpolation.png as well: the first images turn into one another in 8 steps
  judge=      the run folder of a classifier (experiment=mnist_classifier): report.md with FID in
              its features and the share of each class; its own data are the real images
  trust=mylab a package whose classes the files may name; its code is run
  batch_size=64   device=auto   sheet=true
"""

CAM_HELP = """\
usage: stargan cam model=JUDGE input=FILE_OR_FOLDER class=LABELS output=DIR
       stargan cam model=JUDGE data=NAME output=DIR

  model=      a classifier: a run folder, a checkpoint (.ckpt) or a classifier.safetensors
              (stargan train experiment=demo_classifier); its network must end in global average
              pooling, as all of network= but alexnet
  input=      an image or a folder of images
  class=      Blond_Hair, or Blond_Hair,Male, or all (default): labels whose maps are drawn
  output=     folder for STEM_LABEL.png and contact_sheet.png
  data=NAME   data whose regions are known (attributes, expressions, attributes_expressions):
              classification and localisation error, in localisation.md, with examples; or
              data=folder data.root=DIR data.folder.regions=PATH (so celeba, rafd): images with
              boxes (a text: image,label,left,top,width,height) or a folder of masks
  trust=mylab a package whose classes the files may name; its code is run
  threshold=0.2   batch_size=32   device=auto   on_error=skip|raise

What speaks for the label is coloured, the warmer the more, each map scaled to its own maximum; a
picture without colour has nothing that speaks for it.
"""

HEALTH_HELP = """\
usage: stargan health run=RUN_DIR

  run=        a run folder, of a run that has ended or that still trains
  output=     the page; default: health.html in the run folder

Prints what is wrong and what usually helps. The page has the curves, marks where trouble began and
ended, and the verdict of every monitor. Runs watch themselves while they train: health.action=
(warn, stop or rollback) says what they do about it.
"""

HELPS = {
    "cam": CAM_HELP,
    "evaluate": EVALUATE_HELP,
    "translate": TRANSLATE_HELP,
    "export": EXPORT_HELP,
    "import-official": IMPORT_OFFICIAL_HELP,
    "serve": SERVE_HELP,
    "sample": SAMPLE_HELP,
    "health": HEALTH_HELP,
}


def help_text(task: str) -> str:
    """What ``stargan TASK --help`` prints."""
    if task in HELPS:
        return HELPS[task]

    def listing(group: str) -> str:
        return "\n".join(f"  {name:<16}{words}" for name, words in configs.options(group).items())

    return TRAIN_HELP.format(
        experiments=listing("experiment"),
        methods=listing("method"),
        debug=listing("debug"),
        networks=", ".join(configs.options("network")),
    )
