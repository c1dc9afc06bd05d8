# What tools call the program by, and the first argument that each name stands for.
$names = [ordered]@{
  'git-credential-claviger'        = 'git'
  'docker-credential-claviger'     = 'docker'
  'cargo-credential-claviger'      = 'cargo'
  'terraform-credentials-claviger' = 'terraform'
  'bazel-credential-claviger'      = 'bazel'
}
