    let told: Vec<String> = keys
        .iter()
        .take(PAGE)
        .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{}</IsTruncated>{}</ListBucketResult>\n",
        keys.len() > PAGE,
        told.concat()
    )
    .into_bytes()
}
